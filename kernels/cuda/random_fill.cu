#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/launch.cuh"

#include <algorithm>

namespace longhaul::kernels::cuda {
namespace {

constexpr int kThreads = 256;
/// Blocks that walk over the matrix: enough for any GPU to be busy.
constexpr std::int64_t kMostBlocks = 4096;

__device__ void put(float* out, std::int64_t i, float value) { out[i] = value; }
__device__ void put(BFloat16* out, std::int64_t i, float value) { out[i] = to_bfloat16(value); }

/// Threads walk the slice in its own order, so that their writes lie side by side. The product in at() must stay a product:
/// nothing is added to it that it could be contracted with.
template <class T>
__global__ void fill(RandomMatrix matrix, Range rows, Range cols, T* out) {
    std::int64_t const width = cols.size();
    std::int64_t const count = rows.size() * width;
    std::int64_t const step = static_cast<std::int64_t>(gridDim.x) * kThreads;
    for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count;
         i += step) {
        std::int64_t const row = i / width;
        put(out, i, matrix.at(rows.begin + row, cols.begin + (i - row * width)));
    }
}

}  // namespace

void fill_random(ExecContext const& exec, RandomMatrix const& matrix, Range rows, Range cols,
                 void* out, DType dtype) {
    std::int64_t const blocks = ceil_div(rows.size() * cols.size(), kThreads);
    unsigned const grid = grid_size(std::min(blocks, kMostBlocks));
    with_element(dtype, [&](auto element) {
        fill<<<grid, kThreads, 0, stream_of(exec)>>>(matrix, rows, cols,
                                                     static_cast<decltype(element)*>(out));
    });
    LH_CUDA_LAUNCHED();
}

}  // namespace longhaul::kernels::cuda
