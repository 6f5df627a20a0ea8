#pragma once

#include "base/random_matrix.hpp"
#include "base/range.hpp"
#include "kernels/attention.hpp"
#include "kernels/embedding_backends.hpp"
#include "kernels/linear_impl.hpp"
#include "kernels/logits.hpp"
#include "kernels/merge_states.hpp"
#include "kernels/norm.hpp"
#include "kernels/rope_kv.hpp"
#include "kernels/rows.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

/// The contracts on a GPU: arguments are checked as far as the host can, pointers are device memory, everything is ordered in
/// exec.gpu->stream(). A build without CUDA has none.cpp in their place, which refuses.
namespace longhaul::kernels::cuda {

/// The work list of a step in device memory (AttentionWork).
class AttentionPlan {
  public:
    AttentionPlan() = default;
    AttentionPlan(AttentionPlan const&) = delete;
    AttentionPlan& operator=(AttentionPlan const&) = delete;
    virtual ~AttentionPlan() = default;
    virtual void prepare(std::int64_t num_rows, std::span<AttentionItem const> items) = 0;
    virtual void append_launch_key(std::vector<std::uint64_t>& key) const = 0;
};
[[nodiscard]] std::unique_ptr<AttentionPlan> make_attention_plan(ExecContext const& exec,
                                                                 AttentionWork::Shape const& shape);
/// args.items are those the plan was prepared from and are not read again.
void attention(ExecContext const& exec, AttentionArgs const& args, AttentionPlan const& plan);

void merge_states(ExecContext const& exec, MergeArgs const& args);
void rope_table(ExecContext const& exec, std::span<std::int64_t const> positions,
                std::int64_t head_dim, double theta, float* table);
void rope_and_write_kv(ExecContext const& exec, RopeKvArgs const& args);
void embedding(ExecContext const& exec, EmbeddingArgs const& args);
void residual_rms_norm(ExecContext const& exec, ResidualNormArgs const& args);
void convert(ExecContext const& exec, float const* x, std::int64_t count, void* out,
             DType out_dtype);
void swiglu(ExecContext const& exec, void const* gate_up, DType gate_up_dtype,
            std::int64_t num_rows, std::int64_t dim, void* out, DType out_dtype);
void pack_linear(ExecContext const& exec, float const* weight, std::int64_t ld,
                 LinearWeight::Impl& impl);
void linear(ExecContext const& exec, void const* a, std::int64_t m,
            LinearWeight::Impl const& weight, void* c, DType c_dtype);
void summarize_logits(ExecContext const& exec, float const* logits, Range vocab,
                      std::span<LogitQuery const> queries, std::span<LogitSummary> summaries);
void copy_rows(ExecContext const& exec, CopyRowsArgs const& args);
void fill_random(ExecContext const& exec, RandomMatrix const& matrix, Range rows, Range cols,
                 void* out, DType dtype);

}  // namespace longhaul::kernels::cuda
