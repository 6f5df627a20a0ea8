#include "device/cuda_check.cuh"
#include "kernels/cuda/attention_detail.cuh"
#include "kernels/cuda/attention_launch.hpp"

#include <cmath>

// Partial results of a row, over the items it stands in and the parts of their KV, merge by their LSE in item order, then in
// part order: fixed by the work list, so that the bits do not depend on which CTA came first.

namespace longhaul::kernels::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kMaxDimsOfLane = 256 / 32;

/// The parts of one row and head in one chain.
struct Parts {
    std::int64_t first = 0;   ///< partial row of part 0
    std::int32_t stride = 0;  ///< from part to part
    std::int32_t splits = 0;
};

__device__ Parts parts_of(AttentionView const& view, RowPlace const& place, std::int32_t head) {
    ChainParts const chain = view.chains[place.chain];
    std::int32_t const packed = place.row * view.group + head % view.group;
    std::int32_t const row_tile = packed / chain.tile_rows;
    std::int32_t const kv_head = head / view.group;
    TileParts const tile = view.parts[chain.first_tile + kv_head * chain.row_tiles + row_tile];
    return {tile.base + packed - row_tile * chain.tile_rows, tile.packed_rows, tile.splits};
}

__device__ float largest_lse(AttentionView const& view, CombineRow const& row, std::int32_t head,
                             int lane) {
    float largest = -INFINITY;
    for (std::int32_t i = 0; i < row.count; ++i) {
        Parts const parts = parts_of(view, view.places[row.first + i], head);
        for (std::int32_t part = lane; part < parts.splits; part += 32) {
            largest =
                fmaxf(largest, view.partial_lse[parts.first + std::int64_t{part} * parts.stride]);
        }
    }
    for (int step = 16; step > 0; step /= 2) {
        largest = fmaxf(largest, __shfl_xor_sync(~0U, largest, step));
    }
    return largest;
}

__global__ void __launch_bounds__(kWarps * 32)
    combine(AttentionView const view, std::int64_t num_results) {
    std::int64_t const index = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;
    int const lane = static_cast<int>(threadIdx.x % 32);
    if (index >= num_results) {
        return;
    }
    CombineRow const row = view.combine_rows[index / view.num_heads];
    auto const head = static_cast<std::int32_t>(index % view.num_heads);
    if (row.count == 1 && parts_of(view, view.places[row.first], head).splits == 0) {
        return;  // other tiles of its chain are cut, this one is not
    }
    float const largest = largest_lse(view, row, head, lane);
    float const reference = largest == -INFINITY ? 0.0F : largest;
    float sum = 0.0F;
    float values[kMaxDimsOfLane] = {};
    for (std::int32_t i = 0; i < row.count; ++i) {
        Parts const parts = parts_of(view, view.places[row.first + i], head);
        for (std::int32_t part = 0; part < parts.splits; ++part) {
            std::int64_t const place = parts.first + std::int64_t{part} * parts.stride;
            float const weight = expf(view.partial_lse[place] - reference);
            sum += weight;
#pragma unroll
            for (int k = 0; k < kMaxDimsOfLane; ++k) {
                int const dim = lane + 32 * k;
                if (dim < view.value_dim) {
                    values[k] += weight * view.partial_out[place * view.value_dim + dim];
                }
            }
        }
    }
    std::int64_t const result = std::int64_t{row.row} * view.num_heads + head;
#pragma unroll
    for (int k = 0; k < kMaxDimsOfLane; ++k) {
        int const dim = lane + 32 * k;
        if (dim < view.value_dim) {
            view.out[result * view.value_dim + dim] = sum == 0.0F ? 0.0F : values[k] / sum;
        }
    }
    if (lane == 0) {
        view.lse[result] = sum == 0.0F ? -INFINITY : reference + logf(sum);
    }
}

}  // namespace

void launch_attention_combine(AttentionView const& view, std::int64_t num_rows, StreamView stream) {
    std::int64_t const results = num_rows * view.num_heads;
    if (results == 0) {
        return;
    }
    auto const grid = static_cast<unsigned>((results + kWarps - 1) / kWarps);
    combine<<<grid, kWarps * 32, 0, static_cast<cudaStream_t>(stream.native)>>>(view, results);
    LH_CUDA_LAUNCHED();
}

}  // namespace longhaul::kernels::cuda
