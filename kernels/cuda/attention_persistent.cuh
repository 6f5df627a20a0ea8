#pragma once

#include "device/cuda_check.cuh"
#include "kernels/cuda/attention_work.hpp"
#include "kernels/cuda/launch.cuh"

#include <cuda.h>

#include <cstdint>

namespace longhaul::kernels::cuda {

/// Starts a kernel whose CTAs walk lists of their own, one a multiprocessor, with kBytes of shared memory each.
template <int kBytes>
void launch_persistent(void (*kernel)(AttentionView, CUtensorMap), int threads,
                       AttentionView const& view, std::int64_t num_ctas, CUtensorMap const& pool,
                       StreamView stream) {
    static_assert(kBytes <= 227 * 1024);
    LH_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
    kernel<<<grid_size(num_ctas), static_cast<unsigned>(threads), kBytes,
             static_cast<cudaStream_t>(stream.native)>>>(view, pool);
    LH_CUDA_LAUNCHED();
}

}  // namespace longhaul::kernels::cuda
