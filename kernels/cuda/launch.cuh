#pragma once

#include "base/bfloat16.hpp"
#include "base/checked.hpp"
#include "base/types.hpp"
#include "device/cuda_check.cuh"
#include "device/gpu.hpp"
#include "kernels/exec_context.hpp"

#include <cuda_runtime.h>

#include <cstdint>

namespace longhaul::kernels::cuda {

inline constexpr int kWarp = 32;

[[nodiscard]] inline cudaStream_t stream_of(ExecContext const& exec) {
    LH_EXPECT(exec.gpu != nullptr);
    return static_cast<cudaStream_t>(exec.gpu->stream().native);
}

/// Blocks in x: up to 2^31 - 1, so rows go there; y and z end at 65535.
[[nodiscard]] inline unsigned grid_size(std::int64_t blocks) {
    LH_EXPECT(blocks > 0 && blocks <= INT32_MAX);
    return static_cast<unsigned>(blocks);
}

/// Whole warps for `items` of one row, at most `limit` threads.
[[nodiscard]] inline int threads_for(std::int64_t items, int limit) {
    return static_cast<int>(round_up(items < limit ? items : limit, kWarp));
}

[[nodiscard]] inline bool is_aligned(void const* pointer, std::int64_t bytes) {
    return reinterpret_cast<std::uintptr_t>(pointer) % static_cast<std::uintptr_t>(bytes) == 0;
}

/// Calls `run` with a value of the element type that `dtype` names.
template <class Run>
void with_element(DType dtype, Run&& run) {
    if (dtype == DType::f32) {
        run(float{});
    } else {
        run(BFloat16{});
    }
}

}  // namespace longhaul::kernels::cuda
