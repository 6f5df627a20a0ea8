#pragma once

#include "device/buffer.hpp"
#include "kernels/attention.hpp"
#include "engine/batch_arrays.hpp"
#include "engine/partial_exchange.hpp"
#include "engine/rank_context.hpp"
#include "engine/step_batch.hpp"
#include "engine/step_graphs.hpp"

#include <cstdint>
#include <functional>
#include <optional>

namespace longhaul::engine {

/// Runs this stage's layers over the rows of a step (execution `sharded`): the hidden state is equal on all kvp x tp ranks
/// of the stage; heads are split over tp, KV blocks over kvp, output projection and FFN over both.
class LayerRunner {
  public:
    LayerRunner(RankContext& context, std::int64_t max_rows);

    /// hidden [rows, D] f32, in and out. Collective over the stage. `arrays` are those of `batch`.
    void run(StepBatch const& batch, BatchArrays const& arrays, float* hidden);

  private:
    void run_layers(StepBatch const& batch, BatchArrays const& arrays, float* hidden,
                    std::function<void()> const& between);
    [[nodiscard]] StepGraphs::Key graph_key(StepBatch const& batch, BatchArrays const& arrays,
                                            float const* hidden) const;
    void run_layer(StepBatch const& batch, BatchArrays const& arrays, std::int64_t local_layer,
                   float* hidden);
    void attend(StepBatch const& batch, BatchArrays const& arrays, std::int64_t local_layer);
    void norm(StepBatch const& batch, float* hidden, device::Buffer const& weight);
    void linear(StepBatch const& batch, void const* input, kernels::LinearWeight const& weight,
                void* output, DType output_dtype);
    void reduce_delta(StepBatch const& batch);

    RankContext& context_;
    ModelConfig const& config_;
    model::Partition const& partition_;
    std::size_t kvp_index_;
    PartialExchange exchange_;

    kernels::AttentionWork work_;
    std::optional<StepGraphs> graphs_;  // on a GPU, where its messages can be recorded
    DType wide_dtype_;                  // of qkv_ and gate_up_

    // Workspace for max_rows rows in the backend's memory, allocated once; f32 where nothing is said.
    device::Buffer normed_;      // [rows, D] dtype
    device::Buffer qkv_;         // [rows, (heads + 2 kv_heads) * head_dim] wide_dtype_
    device::Buffer rope_;        // [rows, head_dim / 2, 2]
    device::Buffer queries_;     // [rows, heads, head_dim] dtype
    device::Buffer attended_;    // [rows, heads, head_dim]
    device::Buffer lse_;         // [rows, heads]
    device::Buffer merged_;      // [rows, projection slice]
    device::Buffer gate_up_;     // [rows, 2 * ffn slice] wide_dtype_
    device::Buffer activation_;  // [rows, max(projection slice, ffn slice)] dtype
    device::Buffer delta_;       // [rows, D]: what the residual still lacks
    bool delta_pending_ = false;
};

/// Type of the two widest results, which bound a GPU by their traffic; bf16 factors make bf16 enough there.
[[nodiscard]] constexpr DType wide_dtype(kernels::Backend backend, DType dtype) {
    return backend == kernels::Backend::cuda ? dtype : DType::f32;
}

/// Bytes of the workspace above.
[[nodiscard]] std::int64_t workspace_bytes(ModelConfig const& config,
                                           model::Partition const& partition,
                                           std::int64_t kvp_index, kernels::Backend backend,
                                           DType dtype, std::int64_t max_rows);

}  // namespace longhaul::engine
