#pragma once

#include "device/buffer.hpp"
#include "device/step_arena.hpp"
#include "kernels/cuda/attention_work_list.hpp"
#include "kernels/cuda/backend.hpp"

#include <cstdint>

namespace longhaul::kernels::cuda {

enum class AttentionKernel {
    plain_f32,  ///< f32, for checks
    mma_bf16,   ///< any shape, from sm_80 on
    hopper,  ///< sm_90, blocks of 128 slots and head dims of 64 or 128; with a kernel of its own for few rows
};

/// Which kernels a layout gets on a GPU, and how work is cut for them.
struct KernelChoice {
    AttentionKernel kernel = AttentionKernel::mma_bf16;
    WorkListShape work;
};
[[nodiscard]] KernelChoice choose_kernel(AttentionWork::Shape const& shape, int capability,
                                         int multiprocessors);

/// The work list in device memory.
class DeviceAttentionPlan final : public AttentionPlan {
  public:
    DeviceAttentionPlan(ExecContext const& exec, AttentionWork::Shape const& shape);

    void prepare(std::int64_t num_rows, std::span<AttentionItem const> items) override;
    void append_launch_key(std::vector<std::uint64_t>& key) const override;

    [[nodiscard]] AttentionKernel kernel() const { return choice_.kernel; }
    /// The list's pointers and sizes; pool, queries and results are the call's.
    [[nodiscard]] AttentionView const& view() const { return view_; }
    [[nodiscard]] AttentionWorkList const& work() const { return work_; }
    [[nodiscard]] AttentionTile const* wide_tiles() const { return wide_tiles_; }
    [[nodiscard]] std::int32_t const* wide_ctas() const { return wide_ctas_; }
    [[nodiscard]] AttentionTile const* narrow_tiles() const { return narrow_tiles_; }
    [[nodiscard]] std::int32_t const* narrow_ctas() const { return narrow_ctas_; }
    [[nodiscard]] std::int64_t num_rows() const { return num_rows_; }
    /// Of the pool, as many as its tensor map covers: rounded up, so that it stays equal while a sequence grows.
    [[nodiscard]] std::int64_t mapped_blocks() const;
    /// f32 partial results of all parts, their rows and LSE.
    [[nodiscard]] std::int64_t scratch_bytes() const;

  private:
    device::Gpu* gpu_;
    KernelChoice choice_;
    AttentionWorkList work_;
    device::StepArena arena_;
    AttentionView view_;
    AttentionTile const* wide_tiles_ = nullptr;
    std::int32_t const* wide_ctas_ = nullptr;
    AttentionTile const* narrow_tiles_ = nullptr;
    std::int32_t const* narrow_ctas_ = nullptr;
    std::int64_t num_rows_ = 0;
};

}  // namespace longhaul::kernels::cuda
