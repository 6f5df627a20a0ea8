#include "device/buffer.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/vector_access.cuh"

namespace longhaul::kernels::cuda {
namespace {

constexpr int kThreads = 256;

/// kEach consecutive elements a thread; the last thread takes what is left one by one.
template <int kEach>
__global__ void convert_elements(float const* x, std::int64_t count, BFloat16* out) {
    std::int64_t const begin =
        (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kEach;
    if (begin + kEach <= count) {
        float values[kEach];
        load<kEach>(x + begin, values);
        store<kEach>(out + begin, values);
        return;
    }
    for (std::int64_t i = begin; i < count; ++i) {
        store_one(out + i, x[i]);
    }
}

__device__ float silu(float x) { return x / (1.0F + expf(-x)); }

/// One block for a piece of a row (blockIdx.y), so that nothing is divided.
template <int kEach, class In, class Out>
__global__ void swiglu_elements(In const* gate_up, int dim, Out* out) {
    std::int64_t const row = blockIdx.x;
    int const i = kEach * static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x);
    if (i >= dim) {
        return;
    }
    float gate[kEach];
    float up[kEach];
    load<kEach>(gate_up + 2 * row * dim + i, gate);
    load<kEach>(gate_up + (2 * row + 1) * dim + i, up);
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
        gate[e] = silu(gate[e]) * up[e];
    }
    store<kEach>(out + row * dim + i, gate);
}

template <int kEach, class In, class Out>
void launch_swiglu(ExecContext const& exec, In const* gate_up, std::int64_t num_rows,
                   std::int64_t dim, Out* out) {
    int const threads = threads_for(ceil_div(dim, kEach), kThreads);
    dim3 const grid(grid_size(num_rows), checked_cast<unsigned>(ceil_div(dim, threads * kEach)));
    LH_EXPECT(grid.y <= 65535);
    swiglu_elements<kEach>
        <<<grid, threads, 0, stream_of(exec)>>>(gate_up, checked_cast<int>(dim), out);
}

}  // namespace

void convert(ExecContext const& exec, float const* x, std::int64_t count, void* out,
             DType out_dtype) {
    if (out_dtype == DType::f32) {
        device::copy(exec.gpu, out, x, count * dtype_bytes(DType::f32));
        return;
    }
    auto* const to = static_cast<BFloat16*>(out);
    if (is_aligned(x, 16) && is_aligned(out, 16)) {
        convert_elements<8>
            <<<grid_size(ceil_div(count, kThreads * 8)), kThreads, 0, stream_of(exec)>>>(x, count,
                                                                                         to);
    } else {
        convert_elements<1>
            <<<grid_size(ceil_div(count, kThreads)), kThreads, 0, stream_of(exec)>>>(x, count, to);
    }
    LH_CUDA_LAUNCHED();
}

void swiglu(ExecContext const& exec, void const* gate_up, DType gate_up_dtype,
            std::int64_t num_rows, std::int64_t dim, void* out, DType out_dtype) {
    // Eight elements are 16 bytes of bf16; of f32 that is two accesses.
    bool const vectors = dim % 8 == 0 && is_aligned(gate_up, 16) && is_aligned(out, 16);
    with_element(gate_up_dtype, [&](auto in) {
        with_element(out_dtype, [&](auto element) {
            auto const* const from = static_cast<decltype(in) const*>(gate_up);
            auto* const to = static_cast<decltype(element)*>(out);
            if (vectors) {
                launch_swiglu<8>(exec, from, num_rows, dim, to);
            } else {
                launch_swiglu<1>(exec, from, num_rows, dim, to);
            }
        });
    });
    LH_CUDA_LAUNCHED();
}

}  // namespace longhaul::kernels::cuda
