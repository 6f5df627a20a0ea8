#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/linear_skinny.hpp"
#include "kernels/cuda/vector_access.cuh"

namespace longhaul::kernels::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kMaxRows = static_cast<int>(kMaxSkinnyRows);

__device__ float warp_sum(float value) {
#pragma unroll
    for (int distance = kWarp / 2; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(0xffffffffU, value, distance);
    }
    return value;
}

__device__ std::int64_t warp_of_grid() {
    return static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
}

/// A warp for kColumns columns of c: what it reads of a serves them all. Explicit fused multiply-adds, so that every
/// instance rounds alike.
template <int kRows, int kColumns>
__global__ void __launch_bounds__(kWarps* kWarp, 2)
    product_f32(float const* a, int m, float const* weight, std::int64_t n, int k, float* c) {
    std::int64_t const first = warp_of_grid() * kColumns;
    int const lane = static_cast<int>(threadIdx.x) % kWarp;
    float sums[kColumns][kRows] = {};
    constexpr int kBatch = kRows < 8 ? kRows : 8;
    constexpr int kUnroll = kRows == 1 ? 4 : kRows <= 4 ? 2 : 1;  // loads in flight, or registers
#pragma unroll kUnroll
    for (int i = 4 * lane; i < k; i += 4 * kWarp) {
        float w[kColumns][4] = {};
#pragma unroll
        for (int column = 0; column < kColumns; ++column) {
            if (first + column < n) {
                load<4>(weight + (first + column) * k + i, w[column]);
            }
        }
#pragma unroll
        for (int batch = 0; batch < kRows; batch += kBatch) {
            // Rows past the last one read it again: without branches all loads of a batch are under way together.
            float x[kBatch][4];
#pragma unroll
            for (int row = 0; row < kBatch; ++row) {
                int const present = batch + row < m ? batch + row : m - 1;
                load<4>(a + static_cast<std::int64_t>(present) * k + i, x[row]);
            }
#pragma unroll
            for (int row = 0; row < kBatch; ++row) {
#pragma unroll
                for (int column = 0; column < kColumns; ++column) {
#pragma unroll
                    for (int e = 0; e < 4; ++e) {
                        sums[column][batch + row] =
                            fmaf(x[row][e], w[column][e], sums[column][batch + row]);
                    }
                }
            }
        }
    }
#pragma unroll
    for (int column = 0; column < kColumns; ++column) {
#pragma unroll
        for (int row = 0; row < kRows; ++row) {
            float const sum = warp_sum(sums[column][row]);
            if (lane == 0 && row < m && first + column < n) {
                c[row * n + first + column] = sum;
            }
        }
    }
}

/// A warp for one column of c and up to 16 rows from 16 * blockIdx.y on, one element at a time.
template <class In, class Out>
__global__ void __launch_bounds__(kWarps* kWarp)
    product_any(In const* a, std::int64_t m, In const* weight, std::int64_t n, int k, Out* c) {
    std::int64_t const column = warp_of_grid();
    int const lane = static_cast<int>(threadIdx.x) % kWarp;
    if (column >= n) {
        return;
    }
    for (std::int64_t first = static_cast<std::int64_t>(blockIdx.y) * kMaxRows; first < m;
         first += static_cast<std::int64_t>(gridDim.y) * kMaxRows) {
        float sums[kMaxRows] = {};
        for (int i = lane; i < k; i += kWarp) {
            float const w = widen(weight[column * k + i]);
#pragma unroll
            for (int row = 0; row < kMaxRows; ++row) {
                if (first + row < m) {
                    sums[row] = fmaf(widen(a[(first + row) * k + i]), w, sums[row]);
                }
            }
        }
#pragma unroll
        for (int row = 0; row < kMaxRows; ++row) {
            float const sum = warp_sum(sums[row]);
            if (lane == 0 && first + row < m) {
                store_one(c + (first + row) * n + column, sum);
            }
        }
    }
}

template <int kRows, int kColumns>
void launch_f32(ProductArgs const& args) {
    product_f32<kRows, kColumns>
        <<<grid_size(ceil_div(args.n, kWarps * kColumns)), kWarps * kWarp, 0, args.stream>>>(
            static_cast<float const*>(args.a), static_cast<int>(args.m),
            static_cast<float const*>(args.weight), args.n, checked_cast<int>(args.k),
            static_cast<float*>(args.c));
}

}  // namespace

void skinny_f32(ProductArgs const& args) {
    if (args.m == 1) {
        launch_f32<1, 2>(args);
    } else if (args.m <= 4) {
        launch_f32<4, 2>(args);
    } else if (args.m <= 8) {
        launch_f32<8, 2>(args);
    } else {
        launch_f32<kMaxRows, 4>(args);
    }
    LH_CUDA_LAUNCHED();
}

void plain_product(ProductArgs const& args) {
    constexpr std::int64_t kMaxGridY = 65535;
    std::int64_t const groups = ceil_div(args.m, kMaxRows);
    dim3 const grid(grid_size(ceil_div(args.n, kWarps)),
                    static_cast<unsigned>(groups < kMaxGridY ? groups : kMaxGridY));
    with_element(args.dtype, [&](auto in) {
        with_element(args.c_dtype, [&](auto out) {
            product_any<<<grid, kWarps * kWarp, 0, args.stream>>>(
                static_cast<decltype(in) const*>(args.a), args.m,
                static_cast<decltype(in) const*>(args.weight), args.n, checked_cast<int>(args.k),
                static_cast<decltype(out)*>(args.c));
        });
    });
    LH_CUDA_LAUNCHED();
}

}  // namespace longhaul::kernels::cuda
