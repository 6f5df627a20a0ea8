#include "base/error.hpp"
#include "kernels/cuda/backend.hpp"

// Nobody gets here: a GPU is opened before kernels run, and that is refused first.
namespace longhaul::kernels::cuda {
namespace {

[[noreturn]] void refuse() {
    throw ValidationError(
        "this build has no CUDA in it; build the preset cuda, or use --backend cpu");
}

}  // namespace

std::unique_ptr<AttentionPlan> make_attention_plan(ExecContext const& /*exec*/,
                                                   AttentionWork::Shape const& /*shape*/) {
    refuse();
}
void attention(ExecContext const& /*exec*/, AttentionArgs const& /*args*/,
               AttentionPlan const& /*plan*/) {
    refuse();
}
void merge_states(ExecContext const& /*exec*/, MergeArgs const& /*args*/) { refuse(); }
void rope_table(ExecContext const& /*exec*/, std::span<std::int64_t const> /*positions*/,
                std::int64_t /*head_dim*/, double /*theta*/, float* /*table*/) {
    refuse();
}
void rope_and_write_kv(ExecContext const& /*exec*/, RopeKvArgs const& /*args*/) { refuse(); }
void embedding(ExecContext const& /*exec*/, EmbeddingArgs const& /*args*/) { refuse(); }
void residual_rms_norm(ExecContext const& /*exec*/, ResidualNormArgs const& /*args*/) { refuse(); }
void convert(ExecContext const& /*exec*/, float const* /*x*/, std::int64_t /*count*/, void* /*out*/,
             DType /*out_dtype*/) {
    refuse();
}
void swiglu(ExecContext const& /*exec*/, void const* /*gate_up*/, DType /*gate_up_dtype*/,
            std::int64_t /*num_rows*/, std::int64_t /*dim*/, void* /*out*/, DType /*out_dtype*/) {
    refuse();
}
void pack_linear(ExecContext const& /*exec*/, float const* /*weight*/, std::int64_t /*ld*/,
                 LinearWeight::Impl& /*impl*/) {
    refuse();
}
void linear(ExecContext const& /*exec*/, void const* /*a*/, std::int64_t /*m*/,
            LinearWeight::Impl const& /*weight*/, void* /*c*/, DType /*c_dtype*/) {
    refuse();
}
void summarize_logits(ExecContext const& /*exec*/, float const* /*logits*/, Range /*vocab*/,
                      std::span<LogitQuery const> /*queries*/,
                      std::span<LogitSummary> /*summaries*/) {
    refuse();
}
void copy_rows(ExecContext const& /*exec*/, CopyRowsArgs const& /*args*/) { refuse(); }
void fill_random(ExecContext const& /*exec*/, RandomMatrix const& /*matrix*/, Range /*rows*/,
                 Range /*cols*/, void* /*out*/, DType /*dtype*/) {
    refuse();
}

}  // namespace longhaul::kernels::cuda
