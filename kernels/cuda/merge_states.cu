#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/vector_access.cuh"

#include <algorithm>

namespace longhaul::kernels::cuda {
namespace {

constexpr int kMaxParts = 32;

/// Parts travel by value. out may be the first part's: a thread reads its elements of every part before it writes them.
struct Merge {
    PartialState parts[kMaxParts];
    int num_parts;
    int width;
    int head_dim;
    int before;  ///< elements of the first head that lie ahead of the slice
    int num_heads;
    float* out;
    std::int64_t out_stride;
    float* lse_out;
};

/// Largest LSE of the parts. Unlike fmaxf this takes a NaN and keeps it.
__device__ float largest_lse(Merge const& merge, std::int64_t row, int head) {
    float largest = -INFINITY;
    for (int p = 0; p < merge.num_parts; ++p) {
        float const lse = merge.parts[p].lse[row * merge.parts[p].lse_stride + head];
        largest = lse > largest || isnan(lse) ? lse : largest;
    }
    return largest;
}

/// kEach elements of one head.
template <int kEach>
__global__ void merge_rows(Merge merge) {
    std::int64_t const row = blockIdx.x;
    int const e = kEach * static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x);
    if (e >= merge.width) {
        return;
    }
    int const head = (merge.before + e) / merge.head_dim;
    float const largest = largest_lse(merge, row, head);
    float sum = 0.0F;
    float merged[kEach] = {};
    // Where nobody saw anything, -inf - -inf would be NaN.
    if (largest != -INFINITY) {
        for (int p = 0; p < merge.num_parts; ++p) {
            PartialState const& part = merge.parts[p];
            float const weight = expf(part.lse[row * part.lse_stride + head] - largest);
            sum += weight;
            // A part that saw nothing is not read: 0 * inf would be NaN.
            if (weight != 0.0F) {
                float values[kEach];
                load<kEach>(part.out + row * part.out_stride + e, values);
#pragma unroll
                for (int i = 0; i < kEach; ++i) {
                    merged[i] += weight * values[i];
                }
            }
        }
        // A sum of NaN (a part of +inf or NaN) reaches every element, also those that no part was read for.
#pragma unroll
        for (int i = 0; i < kEach; ++i) {
            merged[i] /= sum;
        }
    }
    store<kEach>(merge.out + row * merge.out_stride + e, merged);
    bool const first_of_head = e == 0 || (merge.before + e) % merge.head_dim == 0;
    if (merge.lse_out != nullptr && first_of_head) {
        merge.lse_out[row * merge.num_heads + head] =
            largest == -INFINITY ? largest : largest + logf(sum);
    }
}

bool takes_vectors(Merge const& merge) {
    bool fits = merge.head_dim % 4 == 0 && merge.before % 4 == 0 && merge.width % 4 == 0 &&
                merge.out_stride % 4 == 0 && is_aligned(merge.out, 16);
    for (int p = 0; p < merge.num_parts; ++p) {
        fits = fits && merge.parts[p].out_stride % 4 == 0 && is_aligned(merge.parts[p].out, 16);
    }
    return fits;
}

void launch(Merge const& merge, std::int64_t num_rows, cudaStream_t stream) {
    int const each = takes_vectors(merge) ? 4 : 1;
    std::int64_t const pieces = ceil_div(merge.width, each);
    int const threads = threads_for(pieces, 256);
    dim3 const grid(grid_size(num_rows), checked_cast<unsigned>(ceil_div(pieces, threads)));
    LH_EXPECT(grid.y <= 65535);
    if (each == 4) {
        merge_rows<4><<<grid, threads, 0, stream>>>(merge);
    } else {
        merge_rows<1><<<grid, threads, 0, stream>>>(merge);
    }
    LH_CUDA_LAUNCHED();
}

}  // namespace

void merge_states(ExecContext const& exec, MergeArgs const& args) {
    if (args.num_rows == 0 || args.width == 0) {
        return;
    }
    std::int64_t const heads = merge_heads(args);
    Merge merge{.parts = {},
                .num_parts = 0,
                .width = checked_cast<int>(args.width),
                .head_dim = checked_cast<int>(args.head_dim),
                .before = static_cast<int>(args.first_element % args.head_dim),
                .num_heads = checked_cast<int>(heads),
                .out = args.out,
                .out_stride = args.out_stride,
                .lse_out = nullptr};
    auto const total = static_cast<std::int64_t>(args.parts.size());
    // What is merged so far is the first part of the next launch. Its LSEs take turns between two places, since all threads
    // of a head read them while one writes.
    std::int64_t const lses = args.num_rows * heads;
    auto* const between =
        total > kMaxParts
            ? static_cast<float*>(exec.gpu->scratch(2 * lses * dtype_bytes(DType::f32)))
            : nullptr;
    bool last = false;
    for (std::int64_t next = 0, turn = 0; !last; ++turn) {
        merge.num_parts = 0;
        if (turn > 0) {
            merge.parts[merge.num_parts++] = {args.out, args.out_stride, merge.lse_out, heads};
        }
        while (next < total && merge.num_parts < kMaxParts) {
            merge.parts[merge.num_parts++] = args.parts[static_cast<std::size_t>(next++)];
        }
        last = next == total;
        merge.lse_out = last ? args.lse_out : between + turn % 2 * lses;
        launch(merge, args.num_rows, stream_of(exec));
    }
}

}  // namespace longhaul::kernels::cuda
