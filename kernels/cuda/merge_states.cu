#include "device/buffer.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/vector_access.cuh"

#include <algorithm>

namespace longhaul::kernels::cuda {
namespace {

constexpr int kMaxParts = 32;

/// out may be the first part's: a thread reads its elements of every part before it writes them.
struct Merge {
    PartialState parts[kMaxParts];  ///< these travel by value
    PartialState const* many;       ///< where there are more; device memory
    int num_parts;
    int width;
    int head_dim;
    int before;  ///< elements of the first head that lie ahead of the slice
    int num_heads;
    float* out;
    std::int64_t out_stride;
    float* lse_out;
};

template <bool kMany>
__device__ PartialState const& part_of(Merge const& merge, int p) {
    if constexpr (kMany) {
        return merge.many[p];
    } else {
        return merge.parts[p];
    }
}

/// Largest LSE of the parts. Unlike fmaxf this takes a NaN and keeps it.
template <bool kMany>
__device__ float largest_lse(Merge const& merge, std::int64_t row, int head) {
    float largest = -INFINITY;
    for (int p = 0; p < merge.num_parts; ++p) {
        PartialState const& part = part_of<kMany>(merge, p);
        float const lse = part.lse[row * part.lse_stride + head];
        largest = lse > largest || isnan(lse) ? lse : largest;
    }
    return largest;
}

/// kEach elements of one head.
template <int kEach, bool kMany>
__global__ void merge_rows(__grid_constant__ Merge const merge) {
    std::int64_t const row = blockIdx.x;
    int const e = kEach * static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x);
    if (e >= merge.width) {
        return;
    }
    int const head = (merge.before + e) / merge.head_dim;
    float const largest = largest_lse<kMany>(merge, row, head);
    float sum = 0.0F;
    float merged[kEach] = {};
    // Where nobody saw anything, -inf - -inf would be NaN.
    if (largest != -INFINITY) {
        for (int p = 0; p < merge.num_parts; ++p) {
            PartialState const& part = part_of<kMany>(merge, p);
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

bool takes_vectors(MergeArgs const& args) {
    bool fits = args.head_dim % 4 == 0 && args.first_element % 4 == 0 && args.width % 4 == 0 &&
                args.out_stride % 4 == 0 && is_aligned(args.out, 16);
    for (PartialState const& part : args.parts) {
        fits = fits && part.out_stride % 4 == 0 && is_aligned(part.out, 16);
    }
    return fits;
}

template <int kEach>
void launch(Merge const& merge, std::int64_t num_rows, cudaStream_t stream) {
    std::int64_t const pieces = ceil_div(merge.width, kEach);
    int const threads = threads_for(pieces, 256);
    dim3 const grid(grid_size(num_rows), checked_cast<unsigned>(ceil_div(pieces, threads)));
    LH_EXPECT(grid.y <= 65535);
    auto* const kernel = merge.many != nullptr ? merge_rows<kEach, true> : merge_rows<kEach, false>;
    kernel<<<grid, threads, 0, stream>>>(merge);
    LH_CUDA_LAUNCHED();
}

}  // namespace

void merge_states(ExecContext const& exec, MergeArgs const& args) {
    if (args.num_rows == 0 || args.width == 0) {
        return;
    }
    Merge merge{.parts = {},
                .many = nullptr,
                .num_parts = checked_cast<int>(args.parts.size()),
                .width = checked_cast<int>(args.width),
                .head_dim = checked_cast<int>(args.head_dim),
                .before = static_cast<int>(args.first_element % args.head_dim),
                .num_heads = checked_cast<int>(merge_heads(args)),
                .out = args.out,
                .out_stride = args.out_stride,
                .lse_out = args.lse_out};
    if (merge.num_parts <= kMaxParts) {
        std::copy(args.parts.begin(), args.parts.end(), merge.parts);
    } else {
        auto const bytes = static_cast<std::int64_t>(args.parts.size_bytes());
        void* const many = exec.gpu->scratch(bytes);
        device::upload(exec.gpu, many, args.parts.data(), bytes);
        merge.many = static_cast<PartialState const*>(many);
    }
    if (takes_vectors(args)) {
        launch<4>(merge, args.num_rows, stream_of(exec));
    } else {
        launch<1>(merge, args.num_rows, stream_of(exec));
    }
}

}  // namespace longhaul::kernels::cuda
