#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/vector_access.cuh"

namespace longhaul::kernels::cuda {
namespace {

/// A row is a block's: its sum of squares is formed by the same tree whatever the other rows are.
struct NormRows {
    float* x;
    float const* delta;
    float const* weight;
    void* out;
    int dim;
    double inverse_dim;
    double epsilon;
};

__device__ double warp_sum(double value) {
#pragma unroll
    for (int distance = kWarp / 2; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(0xffffffffU, value, distance);
    }
    return value;
}

/// Sum over the block, in every thread.
__device__ double block_sum(double value) {
    __shared__ double of_warp[kWarp];
    value = warp_sum(value);
    if (threadIdx.x % kWarp == 0) {
        of_warp[threadIdx.x / kWarp] = value;
    }
    __syncthreads();
    unsigned const lane = threadIdx.x % kWarp;
    return warp_sum(lane < blockDim.x / kWarp ? of_warp[lane] : 0.0);
}

__device__ float row_scale(NormRows const& rows, double squares) {
    return static_cast<float>(rsqrt(block_sum(squares) * rows.inverse_dim + rows.epsilon));
}

/// Rows that fit the block's registers: x is read once. All loads are issued before the first store, since the compiler
/// must not move a load over a store that may alias.
template <int kVectors, class Out>
__global__ void norm_in_registers(NormRows rows) {
    std::int64_t const offset = static_cast<std::int64_t>(blockIdx.x) * rows.dim;
    float x[kVectors][4];
    float other[kVectors][4];
    auto const place = [&](int v) {
        return 4 * (v * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x));
    };
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
        if (place(v) < rows.dim) {
            load<4>(rows.x + offset + place(v), x[v]);
            if (rows.delta != nullptr) {
                load<4>(rows.delta + offset + place(v), other[v]);
            }
        }
    }
    double squares = 0.0;
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
        if (place(v) < rows.dim) {
            if (rows.delta != nullptr) {
#pragma unroll
                for (int e = 0; e < 4; ++e) {
                    x[v][e] += other[v][e];
                }
                store<4>(rows.x + offset + place(v), x[v]);
            }
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                squares += static_cast<double>(x[v][e]) * x[v][e];
            }
        }
    }
    if (rows.out == nullptr) {
        return;
    }
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
        if (place(v) < rows.dim) {
            load<4>(rows.weight + place(v), other[v]);
        }
    }
    float const scale = row_scale(rows, squares);
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
        if (place(v) < rows.dim) {
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                x[v][e] = x[v][e] * scale * other[v][e];
            }
            store<4>(static_cast<Out*>(rows.out) + offset + place(v), x[v]);
        }
    }
}

/// Any width and alignment; reads x a second time, each thread what it wrote itself.
template <class Out>
__global__ void norm_any(NormRows rows) {
    std::int64_t const offset = static_cast<std::int64_t>(blockIdx.x) * rows.dim;
    double squares = 0.0;
    for (int i = static_cast<int>(threadIdx.x); i < rows.dim; i += static_cast<int>(blockDim.x)) {
        float x = rows.x[offset + i];
        if (rows.delta != nullptr) {
            x += rows.delta[offset + i];
            rows.x[offset + i] = x;
        }
        squares += static_cast<double>(x) * x;
    }
    if (rows.out == nullptr) {
        return;
    }
    float const scale = row_scale(rows, squares);
    for (int i = static_cast<int>(threadIdx.x); i < rows.dim; i += static_cast<int>(blockDim.x)) {
        store_one(static_cast<Out*>(rows.out) + offset + i,
                  rows.x[offset + i] * scale * rows.weight[i]);
    }
}

bool takes_vectors(ResidualNormArgs const& args) {
    return args.dim % 4 == 0 && args.dim <= 4 * 4 * 1024 && is_aligned(args.x, 16) &&
           is_aligned(args.delta, 16) && is_aligned(args.weight, 16) &&
           is_aligned(args.out, 4 * dtype_bytes(args.out_dtype));
}

template <class Out>
void launch(NormRows const& rows, bool vectors, unsigned blocks, cudaStream_t stream) {
    if (!vectors) {
        norm_any<Out><<<blocks, threads_for(rows.dim, 512), 0, stream>>>(rows);
        return;
    }
    int const per_row = rows.dim / 4;
    if (per_row <= 256) {
        norm_in_registers<1, Out><<<blocks, threads_for(per_row, 256), 0, stream>>>(rows);
    } else if (per_row <= 512) {
        norm_in_registers<2, Out><<<blocks, 256, 0, stream>>>(rows);
    } else {
        int const threads = threads_for(ceil_div(per_row, 4), 1024);
        norm_in_registers<4, Out><<<blocks, threads, 0, stream>>>(rows);
    }
}

}  // namespace

void residual_rms_norm(ExecContext const& exec, ResidualNormArgs const& args) {
    if (args.delta == nullptr && args.out == nullptr) {
        return;
    }
    NormRows const rows{args.x,
                        args.delta,
                        args.weight,
                        args.out,
                        checked_cast<int>(args.dim),
                        1.0 / static_cast<double>(args.dim),
                        args.epsilon};
    with_element(args.out_dtype, [&](auto element) {
        launch<decltype(element)>(rows, takes_vectors(args), grid_size(args.num_rows),
                                  stream_of(exec));
    });
    LH_CUDA_LAUNCHED();
}

}  // namespace longhaul::kernels::cuda
