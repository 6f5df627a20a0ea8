#include "device/cuda_check.cuh"
#include "device/native.hpp"

#include <algorithm>
#include <cstdint>

namespace longhaul::device::native {
namespace {

constexpr int kThreads = 256;

__device__ float add(float a, float b) { return __fadd_rn(a, b); }
__device__ float4 add(float4 a, float4 b) {
    return {add(a.x, b.x), add(a.y, b.y), add(a.z, b.z), add(a.w, b.w)};
}

// The stride and the count are in elements of T.
template <class T>
__global__ void sum_kernel(T const* rows, std::int64_t stride, int num_rows, T* out,
                           std::int64_t count) {
    std::int64_t const step = static_cast<std::int64_t>(gridDim.x) * kThreads;
    for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count;
         i += step) {
        T sum = rows[i];
        for (int row = 1; row < num_rows; ++row) {
            sum = add(sum, rows[row * stride + i]);
        }
        out[i] = sum;
    }
}

template <class T>
void launch(float const* rows, std::int64_t stride, int num_rows, float* out, std::int64_t count,
            StreamView stream) {
    constexpr auto kWidth = static_cast<std::int64_t>(sizeof(T) / sizeof(float));
    constexpr std::int64_t kMostBlocks = 2048;  // fills any GPU; longer messages take turns
    std::int64_t const elements = count / kWidth;
    auto const blocks =
        static_cast<unsigned>(std::min((elements + kThreads - 1) / kThreads, kMostBlocks));
    sum_kernel<T><<<blocks, kThreads, 0, static_cast<cudaStream_t>(stream.native)>>>(
        reinterpret_cast<T const*>(rows), stride / kWidth, num_rows, reinterpret_cast<T*>(out),
        elements);
    LH_CUDA_LAUNCHED();
}

bool aligned(void const* memory) {
    return reinterpret_cast<std::uintptr_t>(memory) % sizeof(float4) == 0;
}

}  // namespace

void sum_rows(float const* rows, std::int64_t stride, int num_rows, float* out, std::int64_t count,
              StreamView stream) {
    if (stride % 4 == 0 && count % 4 == 0 && aligned(rows) && aligned(out)) {
        launch<float4>(rows, stride, num_rows, out, count, stream);
    } else {
        launch<float>(rows, stride, num_rows, out, count, stream);
    }
}

}  // namespace longhaul::device::native
