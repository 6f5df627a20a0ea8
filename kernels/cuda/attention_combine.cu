// Partial results of a row, over the items it stands in and the parts of their KV, merge by their LSE in item order, then in
// part order: fixed by the work list, so that the bits do not depend on which CTA came first.

#include "device/cuda_check.cuh"
#include "kernels/cuda/attention_detail.cuh"
#include "kernels/cuda/attention_launch.hpp"

#include <cmath>

namespace longhaul::kernels::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kMaxDimsOfLane = 256 / 32;
/// From so many results on a warp each fills the GPU; below, the warps of a CTA share the parts of one.
constexpr std::int64_t kManyResults = 1024;

/// The parts of one row and head in one chain.
struct Parts {
    std::int64_t first = 0;   ///< partial row of part 0
    std::int32_t stride = 0;  ///< from part to part
    std::int32_t splits = 0;
};

__device__ Parts parts_of(AttentionView const& view, RowPlace const& place, std::int32_t head) {
    std::int32_t const packed = place.row * view.group + head % view.group;
    std::int32_t const row_tile = packed / place.tile_rows;
    std::int32_t const kv_head = head / view.group;
    TileParts const tile = view.parts[place.first_tile + kv_head * place.row_tiles + row_tile];
    return {tile.base + packed - row_tile * place.tile_rows, tile.packed_rows, tile.splits};
}

/// Results of the kernel before are there from here on.
__device__ void wait_for_partials() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// Weighted sum of some parts: all lanes hold the weights' sum, each its dims.
struct Sums {
    float weight = 0.0F;
    float values[kMaxDimsOfLane] = {};
};

template <int kSharers>
class Combine {
  public:
    __device__ Combine(AttentionView const& view, CombineRow const& row, std::int32_t head,
                       int sharer)
        : view_(view),
          row_(row),
          head_(head),
          sharer_(sharer),
          lane_(static_cast<int>(threadIdx.x % 32)),
          first_(row.count > 0 ? parts_of(view, view.places[row.first], head) : Parts{}) {}

    /// Other tiles of its chain are cut, this one is not.
    [[nodiscard]] __device__ bool done_already() const {
        return row_.count == 1 && first_.splits == 0;
    }

    [[nodiscard]] __device__ float largest_lse() const {
        float largest = -INFINITY;
        for (std::int32_t i = 0; i < row_.count; ++i) {
            Parts const parts = parts_at(i);
            for (std::int32_t part = lane_; part < parts.splits; part += 32) {
                std::int64_t const place = parts.first + std::int64_t{part} * parts.stride;
                largest = fmaxf(largest, view_.partial_lse[place]);
            }
        }
        for (int step = 16; step > 0; step /= 2) {
            largest = fmaxf(largest, __shfl_xor_sync(~0U, largest, step));
        }
        return largest;
    }

    /// Every kSharers-th part of each item. Counted anew for every item: parts of one that only other rows of a tile see
    /// weigh nothing, and may not shift the others' turns.
    [[nodiscard]] __device__ Sums add_up(float reference) const {
        Sums sums;
        for (std::int32_t i = 0; i < row_.count; ++i) {
            Parts const parts = parts_at(i);
#pragma unroll 4
            for (std::int32_t part = sharer_; part < parts.splits; part += kSharers) {
                std::int64_t const place = parts.first + std::int64_t{part} * parts.stride;
                float const weight = expf(view_.partial_lse[place] - reference);
                float const* values = view_.partial_out + place * view_.value_dim;
                sums.weight += weight;
#pragma unroll
                for (int k = 0; k < kMaxDimsOfLane; ++k) {
                    int const dim = lane_ + 32 * k;
                    if (dim < view_.value_dim) {
                        sums.values[k] += weight * values[dim];
                    }
                }
            }
        }
        return sums;
    }

    __device__ void store(Sums const& sums, float reference) const {
        std::int64_t const result = std::int64_t{row_.row} * view_.num_heads + head_;
#pragma unroll
        for (int k = 0; k < kMaxDimsOfLane; ++k) {
            int const dim = lane_ + 32 * k;
            if (dim < view_.value_dim) {
                view_.out[result * view_.value_dim + dim] =
                    sums.weight == 0.0F ? 0.0F : sums.values[k] / sums.weight;
            }
        }
        if (lane_ == 0) {
            view_.lse[result] = sums.weight == 0.0F ? -INFINITY : reference + logf(sums.weight);
        }
    }

  private:
    [[nodiscard]] __device__ Parts parts_at(std::int32_t i) const {
        return i == 0 ? first_ : parts_of(view_, view_.places[row_.first + i], head_);
    }

    AttentionView const& view_;
    CombineRow row_;
    std::int32_t head_;
    int sharer_;
    int lane_;
    Parts first_;
};

/// A warp a result.
__global__ void __launch_bounds__(kWarps * 32)
    combine_many(AttentionView const view, std::int64_t num_results) {
    std::int64_t const index = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;
    if (index >= num_results) {
        return;
    }
    Combine<1> const combine(view, view.combine_rows[index / view.num_heads],
                             static_cast<std::int32_t>(index % view.num_heads), 0);
    if (combine.done_already()) {
        return;
    }
    wait_for_partials();
    float const largest = combine.largest_lse();
    float const reference = largest == -INFINITY ? 0.0F : largest;
    combine.store(combine.add_up(reference), reference);
}

/// A CTA a result: with few of them, time is what one load after the other takes.
__global__ void __launch_bounds__(kWarps * 32) combine_few(AttentionView const view) {
    __shared__ Sums shared[kWarps][32];
    auto const warp = static_cast<int>(threadIdx.x / 32);
    auto const lane = static_cast<int>(threadIdx.x % 32);
    Combine<kWarps> const combine(
        view, view.combine_rows[static_cast<std::int32_t>(blockIdx.x) / view.num_heads],
        static_cast<std::int32_t>(blockIdx.x) % view.num_heads, warp);
    if (combine.done_already()) {
        return;
    }
    wait_for_partials();
    float const largest = combine.largest_lse();
    float const reference = largest == -INFINITY ? 0.0F : largest;
    shared[warp][lane] = combine.add_up(reference);
    __syncthreads();
    if (warp != 0) {
        return;
    }
    Sums sums;
    for (auto const& more : shared) {
        sums.weight += more[lane].weight;
#pragma unroll
        for (int k = 0; k < kMaxDimsOfLane; ++k) {
            sums.values[k] += more[lane].values[k];
        }
    }
    combine.store(sums, reference);
}

}  // namespace

void launch_attention_combine(AttentionView const& view, std::int64_t num_rows, bool early,
                              StreamView stream) {
    std::int64_t const results = num_rows * view.num_heads;
    if (results == 0) {
        return;
    }
    // Sums differ in their order: which way is taken may depend on the number of rows only where bits may.
    bool const many = view.fixed_splits || results >= kManyResults;
    cudaLaunchAttribute start{};
    start.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    start.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(static_cast<unsigned>(many ? (results + kWarps - 1) / kWarps : results));
    config.blockDim = dim3(kWarps * 32);
    config.stream = static_cast<cudaStream_t>(stream.native);
    config.attrs = &start;
    config.numAttrs = early ? 1 : 0;
    if (many) {
        LH_CUDA(cudaLaunchKernelEx(&config, combine_many, view, results));
    } else {
        LH_CUDA(cudaLaunchKernelEx(&config, combine_few, view));
    }
}

}  // namespace longhaul::kernels::cuda
