#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/linear_skinny.hpp"
#include "kernels/cuda/vector_access.cuh"

namespace longhaul::kernels::cuda {
namespace {

// The weights are the left factor of m16n8k16 matrix instructions (16 rows of them), the rows of a are the right one (8
// columns). Every product is summed by the matrix units: for 16 rows the other units could not keep up with the memory.
constexpr int kTileRows = 16;
constexpr int kWarps = 8;
constexpr int kStep = 32;  // of k: a lane reads 8 elements, four lanes a row

/// Read once by the whole GPU, so kept out of the first-level cache, where the rows of a stay.
__device__ uint4 stream_in(BFloat16 const* from) {
    uint4 word;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(word.x), "=r"(word.y), "=r"(word.z), "=r"(word.w)
                 : "l"(from));
    return word;
}

__device__ void multiply(float (&sum)[4], std::uint32_t a0, std::uint32_t a1, std::uint32_t a2,
                         std::uint32_t a3, std::uint32_t b0, std::uint32_t b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
        "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

/// 32 elements of k. Which element stands at which k inside an instruction does not matter as long as both factors agree, so
/// a lane feeds the 8 neighbours that it read in one piece.
__device__ void multiply_step(float (&sum)[4], uint4 upper, uint4 lower, uint4 x) {
    multiply(sum, upper.x, lower.x, upper.y, lower.y, x.x, x.y);
    multiply(sum, upper.z, lower.z, upper.w, lower.w, x.z, x.w);
}

struct Product {
    BFloat16 const* a;
    BFloat16 const* weight;
    void* c;
    int m;
    std::int64_t n;
    int k;
    int splits;  // of k, over warps of a block
};

/// A warp's sums over its part of k: a tile of weight rows from `first_row` on, kColumns * 8 rows of a.
template <int kColumns>
__device__ void sum_part(Product const& p, std::int64_t first_row, int split,
                         float (&sums)[kColumns][4]) {
    constexpr int kUnroll = 4;
    int const lane = static_cast<int>(threadIdx.x) % kWarp;
    int const group = lane / 4;
    int const within = lane % 4 * 8;
    int const steps = (p.k + kStep - 1) / kStep;
    int const end = static_cast<int>(static_cast<std::int64_t>(steps) * (split + 1) / p.splits);
    uint4 const none = {0, 0, 0, 0};
    for (int step = static_cast<int>(static_cast<std::int64_t>(steps) * split / p.splits);
         step < end; step += kUnroll) {
        uint4 w[kUnroll][2];
        uint4 x[kUnroll][kColumns];
#pragma unroll
        for (int u = 0; u < kUnroll; ++u) {
            int const i = (step + u) * kStep + within;
            bool const inside = step + u < end && i < p.k;
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                std::int64_t const row = first_row + half * 8 + group;
                w[u][half] = inside && row < p.n ? stream_in(p.weight + row * p.k + i) : none;
            }
#pragma unroll
            for (int column = 0; column < kColumns; ++column) {
                int const row = column * 8 + group;
                x[u][column] = inside && row < p.m
                                   ? __ldg(reinterpret_cast<uint4 const*>(
                                         p.a + static_cast<std::int64_t>(row) * p.k + i))
                                   : none;
            }
        }
#pragma unroll
        for (int u = 0; u < kUnroll; ++u) {
            if (step + u < end) {
#pragma unroll
                for (int column = 0; column < kColumns; ++column) {
                    multiply_step(sums[column], w[u][0], w[u][1], x[u][column]);
                }
            }
        }
    }
}

/// kWarps warps: p.splits of them share a tile, and their sums are added in order. With few rows of a the registers that
/// fewer blocks leave free are better spent on loads under way (measured on an H100).
template <int kColumns, class Out>
__global__ void __launch_bounds__(kWarps* kWarp, kColumns == 1 ? 2 : 3) product(Product p) {
    __shared__ float partial[kWarps][kColumns * 8][kTileRows + 4];
    int const warp = static_cast<int>(threadIdx.x) / kWarp;
    int const tiles = kWarps / p.splits;
    std::int64_t const block_row = static_cast<std::int64_t>(blockIdx.x) * tiles * kTileRows;
    float sums[kColumns][4] = {};
    sum_part(p, block_row + warp / p.splits * kTileRows, warp % p.splits, sums);
    int const lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
    for (int column = 0; column < kColumns; ++column) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            partial[warp][column * 8 + lane % 4 * 2 + i % 2][i / 2 * 8 + lane / 4] =
                sums[column][i];
        }
    }
    __syncthreads();
    int const rows = tiles * kTileRows;
    for (int o = static_cast<int>(threadIdx.x); o < rows * p.m; o += kWarps * kWarp) {
        int const row = o % rows;
        int const column = o / rows;
        if (block_row + row < p.n) {
            int const first = row / kTileRows * p.splits;
            float sum = 0.0F;
            for (int split = 0; split < p.splits; ++split) {
                sum += partial[first + split][column][row % kTileRows];
            }
            store_one(static_cast<Out*>(p.c) + column * p.n + block_row + row, sum);
        }
    }
}

/// Few weight rows: many warps for each, so that enough of them are in flight; else long runs for each warp. A matter of n
/// and k alone.
int splits_for(std::int64_t n, std::int64_t k) {
    std::int64_t const tiles = ceil_div(n, kTileRows);
    std::int64_t const steps = ceil_div(k, kStep);
    int splits = kWarps;
    while (splits > 1 && tiles * splits > 4096 && steps / splits < 16) {
        splits /= 2;
    }
    return splits;
}

template <int kColumns>
void launch(Product const& p, ProductArgs const& args) {
    unsigned const blocks = grid_size(ceil_div(p.n, kWarps / p.splits * kTileRows));
    with_element(args.c_dtype, [&](auto element) {
        product<kColumns, decltype(element)><<<blocks, kWarps * kWarp, 0, args.stream>>>(p);
    });
}

}  // namespace

void skinny_bf16(ProductArgs const& args) {
    Product const p{static_cast<BFloat16 const*>(args.a),
                    static_cast<BFloat16 const*>(args.weight),
                    args.c,
                    static_cast<int>(args.m),
                    args.n,
                    checked_cast<int>(args.k),
                    splits_for(args.n, args.k)};
    if (args.m <= 8) {
        launch<1>(p, args);
    } else {
        launch<2>(p, args);
    }
    LH_CUDA_LAUNCHED();
}

}  // namespace longhaul::kernels::cuda
