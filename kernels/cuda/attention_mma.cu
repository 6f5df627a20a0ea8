// Flash attention on the tensor cores that every GPU since sm_80 has, for any shape of the contract: FlashAttention-2's
// loop (Dao 2023, arXiv:2307.08691). Four warps with 16 packed rows each; the values of a KV tile arrive while its scores
// are computed, the next keys during the softmax.

#include "device/cuda_check.cuh"
#include "kernels/cuda/attention_detail.cuh"
#include "kernels/cuda/attention_launch.hpp"
#include "kernels/cuda/attention_mma.cuh"

#include <cmath>

namespace longhaul::kernels::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kRows = static_cast<int>(kMmaTileRows);
constexpr int kSlots = static_cast<int>(kMmaTileSlots);
static_assert(2 * kRows == kThreads && 2 * kSlots == kThreads, "two threads load a row");

/// Rows are padded by 16 bytes: eight rows of a matrix load then lie in different banks.
template <int kDim>
struct Shared {
    static constexpr int kStride = kDim + 8;
    __nv_bfloat16 queries[kRows * kStride];
    __nv_bfloat16 keys[kSlots * kStride];
    __nv_bfloat16 values[kSlots * kStride];
    std::int64_t thresholds[2][kSlots];
    std::int32_t bad_value[kSlots];
};

/// One row of a tile by two threads; what lies beyond the dims or is not seen becomes zero.
template <int kDim>
__device__ void load_row(__nv_bfloat16* shared, std::byte const* global, int dims, bool filled) {
    auto const half = static_cast<int>(threadIdx.x % 2);
#pragma unroll
    for (int chunk = half; chunk < kDim / 8; chunk += 2) {
        bool const there = filled && chunk * 8 < dims;
        copy_16(shared + chunk * 8, there ? global + chunk * 16 : global, there);
    }
}

/// The slot of a KV tile that this thread loads.
struct OwnSlot {
    KvPiece piece;
    std::int32_t slot;  ///< in the piece
    PieceTiles tiles;
    bool filled;
};

__device__ OwnSlot own_slot(AttentionView const& view, AttentionTile const& tile, int kv_tile) {
    auto const slot = static_cast<std::int32_t>(threadIdx.x / 2);
    std::int32_t const pieces = kSlots / view.piece_slots;
    OwnSlot own;
    own.piece =
        view.pieces[tile.first_piece + std::int64_t{kv_tile} * pieces + slot / view.piece_slots];
    own.slot = slot % view.piece_slots;
    own.tiles = piece_tiles(view, own.piece, tile.kv_head, sizeof(__nv_bfloat16));
    own.filled = own.slot >= own.piece.lo && own.slot < own.piece.hi;
    return own;
}

template <int kDim>
class Tile {
  public:
    __device__ Tile(AttentionView const& view, AttentionTile const& tile, Shared<kDim>& shared)
        : view_(view), tile_(tile), shared_(shared) {}

    __device__ void run() {
        load_queries();
        load_keys(0);
        for (int j = 0; j < tile_.num_kv_tiles; ++j) {
            copies_wait();
            bool const masked = __syncthreads_or(hides_) != 0;
            load_values();
            multiply_keys();
            copies_wait();
            __syncthreads();
            if (j + 1 < tile_.num_kv_tiles) {
                load_keys(j + 1);
            }
            if (masked) {
                drop_bad_values();
                mask(j);
            }
            softmax();
            multiply_values();
        }
        store();
    }

  private:
    static constexpr int kStride = Shared<kDim>::kStride;
    static constexpr int kScoreBlocks = kSlots / 8;
    static constexpr int kValueBlocks = kDim / 8;

    __device__ int lane() const { return static_cast<int>(threadIdx.x % 32); }
    /// First row of this lane in its warp's accumulators; the second one is 8 further.
    __device__ int first_row() const {
        return static_cast<int>(threadIdx.x / 32) * 16 + lane() / 4;
    }

    __device__ void load_queries() {
        auto const local = static_cast<std::int32_t>(threadIdx.x / 2);
        bool const there = local < tile_.packed_rows;
        PackedRow const at = packed_row(view_, tile_, there ? local : 0);
        auto const* queries = static_cast<std::byte const*>(view_.queries);
        load_row<kDim>(shared_.queries + local * kStride,
                       queries + (at.row * view_.num_heads + at.head) * view_.key_dim * 2,
                       view_.key_dim, there);
        for (int half = 0; half < 2; ++half) {
            int const row = first_row() + 8 * half;
            visible_[half] =
                row < tile_.packed_rows ? packed_row(view_, tile_, row).visible : kSeesAll;
        }
    }

    __device__ void load_keys(int kv_tile) {
        auto const slot = static_cast<std::int32_t>(threadIdx.x / 2);
        next_ = own_slot(view_, tile_, kv_tile);
        load_row<kDim>(shared_.keys + slot * kStride,
                       next_.tiles.keys + std::int64_t{next_.slot} * view_.key_dim * 2,
                       view_.key_dim, next_.filled);
        copies_commit();
        std::int64_t const seen_beyond = threshold(next_.piece, next_.slot);
        shared_.thresholds[kv_tile % 2][slot] = seen_beyond;
        hides_ = seen_beyond >= tile_.min_visible;
    }

    __device__ void load_values() {
        auto const slot = static_cast<std::int32_t>(threadIdx.x / 2);
        load_row<kDim>(shared_.values + slot * kStride,
                       next_.tiles.values + std::int64_t{next_.slot} * view_.value_dim * 2,
                       view_.value_dim, next_.filled);
        copies_commit();
    }

    __device__ void multiply_keys() {
        std::uint32_t const queries = shared_address(
            shared_.queries + (threadIdx.x / 32 * 16 + lane() % 16) * kStride + lane() / 16 * 8);
        std::uint32_t const keys = shared_address(
            shared_.keys + (lane() % 8 + lane() / 16 * 8) * kStride + lane() / 8 % 2 * 8);
#pragma unroll
        for (int n = 0; n < kScoreBlocks; ++n) {
            scores_[n][0] = scores_[n][1] = scores_[n][2] = scores_[n][3] = 0.0F;
        }
#pragma unroll
        for (int k = 0; k < kDim / 16; ++k) {
            std::uint32_t a[4];
            load_matrices(a, queries + k * 32);
#pragma unroll
            for (int n = 0; n < kScoreBlocks; n += 2) {
                std::uint32_t b[4];
                load_matrices(b, keys + (n * 8 * kStride + k * 16) * 2);
                multiply_add(scores_[n], a, b[0], b[1]);
                multiply_add(scores_[n + 1], a, b[2], b[3]);
            }
        }
    }

    /// A weight of zero times a value that is not finite is NaN: such values would reach rows that do not see their slot.
    /// They become zero here, and the rows that do see the slot get NaN by its score.
    __device__ void drop_bad_values() {
        auto const slot = static_cast<int>(threadIdx.x / 2);
        __nv_bfloat16* values = shared_.values + slot * kStride;
        int bad = 0;
        for (int chunk = static_cast<int>(threadIdx.x % 2); chunk < kDim / 8; chunk += 2) {
            auto* words = reinterpret_cast<std::uint16_t*>(values + chunk * 8);
            for (int i = 0; i < 8; ++i) {
                if ((words[i] & 0x7F80) == 0x7F80) {
                    words[i] = 0;
                    bad = 1;
                }
            }
        }
        bad |= __shfl_xor_sync(~0U, bad, 1);
        shared_.bad_value[slot] = bad;
        __syncthreads();
    }

    __device__ void mask(int kv_tile) {
        for (int n = 0; n < kScoreBlocks; ++n) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                int const slot = n * 8 + lane() % 4 * 2 + i % 2;
                bool const seen = shared_.thresholds[kv_tile % 2][slot] < visible_[i / 2];
                if (!seen) {
                    scores_[n][i] = -INFINITY;
                } else if (shared_.bad_value[slot] != 0) {
                    scores_[n][i] = NAN;
                }
            }
        }
    }

    /// Scores become weights; sums are this lane's share until store().
    __device__ void softmax() {
        float const factor = view_.scale * kLog2e;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float largest = largest_[half];
#pragma unroll
            for (int n = 0; n < kScoreBlocks; ++n) {
                largest = fmaxf(largest, fmaxf(scores_[n][2 * half], scores_[n][2 * half + 1]));
            }
            largest = fmaxf(largest, __shfl_xor_sync(~0U, largest, 1));
            largest = fmaxf(largest, __shfl_xor_sync(~0U, largest, 2));
            // A row that has seen nothing yet: -inf - -inf would be NaN.
            float const reference = largest == -INFINITY ? 0.0F : largest * factor;
            // Exactly 1 where a tile brings nothing new: hidden tiles may not change a row's bits.
            float const keep =
                largest_[half] == -INFINITY ? 0.0F : exp2_approx(references_[half] - reference);
            largest_[half] = largest;
            references_[half] = reference;
            sums_[half] *= keep;
#pragma unroll
            for (int n = 0; n < kScoreBlocks; ++n) {
#pragma unroll
                for (int i = 2 * half; i < 2 * half + 2; ++i) {
                    scores_[n][i] = exp2_approx(scores_[n][i] * factor - reference);
                    sums_[half] += scores_[n][i];
                }
            }
#pragma unroll
            for (int n = 0; n < kValueBlocks; ++n) {
                values_[n][2 * half] *= keep;
                values_[n][2 * half + 1] *= keep;
            }
        }
    }

    __device__ void multiply_values() {
        std::uint32_t const values =
            shared_address(shared_.values + lane() % 16 * kStride + lane() / 16 * 8);
#pragma unroll
        for (int k = 0; k < kSlots / 16; ++k) {
            std::uint32_t const a[4] = {pack_bf16(scores_[2 * k][0], scores_[2 * k][1]),
                                        pack_bf16(scores_[2 * k][2], scores_[2 * k][3]),
                                        pack_bf16(scores_[2 * k + 1][0], scores_[2 * k + 1][1]),
                                        pack_bf16(scores_[2 * k + 1][2], scores_[2 * k + 1][3])};
#pragma unroll
            for (int n = 0; n < kValueBlocks; n += 2) {
                std::uint32_t b[4];
                load_matrices_transposed(b, values + (k * 16 * kStride + n * 8) * 2);
                multiply_add(values_[n], a, b[0], b[1]);
                multiply_add(values_[n + 1], a, b[2], b[3]);
            }
        }
    }

    __device__ void store() {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float sum = sums_[half];
            sum += __shfl_xor_sync(~0U, sum, 1);
            sum += __shfl_xor_sync(~0U, sum, 2);
            int const row = first_row() + 8 * half;
            if (row >= tile_.packed_rows) {
                continue;
            }
            ResultRow const result = result_row(view_, tile_, row);
            float const inverse = inverse_sum(sum);
#pragma unroll
            for (int n = 0; n < kValueBlocks; ++n) {
                int const dim = n * 8 + lane() % 4 * 2;
                if (dim < view_.value_dim) {
                    *reinterpret_cast<float2*>(result.out + dim) = make_float2(
                        values_[n][2 * half] * inverse, values_[n][2 * half + 1] * inverse);
                }
            }
            if (lane() % 4 == 0) {
                *result.lse = sum == 0.0F ? -INFINITY : (references_[half] + log2f(sum)) * kLn2;
            }
        }
    }

    AttentionView const& view_;
    AttentionTile const tile_;
    Shared<kDim>& shared_;
    OwnSlot next_;
    bool hides_ = false;
    std::int64_t visible_[2];
    float scores_[kScoreBlocks][4];
    float values_[kValueBlocks][4] = {};
    float largest_[2] = {-INFINITY, -INFINITY};
    float references_[2] = {};  ///< what the weights' exponents are relative to, in units of log2
    float sums_[2] = {};
};

template <int kDim>
__global__ void __launch_bounds__(kThreads) attend(AttentionView const view) {
    extern __shared__ __align__(16) std::byte memory[];
    Tile<kDim>(view, view.tiles[blockIdx.x], *reinterpret_cast<Shared<kDim>*>(memory)).run();
}

template <int kDim>
void launch(AttentionView const& view, std::int64_t num_tiles, StreamView stream) {
    constexpr int kBytes = sizeof(Shared<kDim>);
    LH_CUDA(
        cudaFuncSetAttribute(attend<kDim>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
    attend<kDim><<<static_cast<unsigned>(num_tiles), kThreads, kBytes,
                   static_cast<cudaStream_t>(stream.native)>>>(view);
    LH_CUDA_LAUNCHED();
}

}  // namespace

void launch_attention_mma(AttentionView const& view, std::int64_t num_tiles, StreamView stream) {
    if (num_tiles == 0) {
        return;
    }
    std::int32_t const dim = view.key_dim > view.value_dim ? view.key_dim : view.value_dim;
    if (dim <= 16) {
        launch<16>(view, num_tiles, stream);
    } else if (dim <= 64) {
        launch<64>(view, num_tiles, stream);
    } else if (dim <= 96) {
        launch<96>(view, num_tiles, stream);
    } else if (dim <= 128) {
        launch<128>(view, num_tiles, stream);
    } else if (dim <= 192) {
        launch<192>(view, num_tiles, stream);
    } else {
        launch<256>(view, num_tiles, stream);
    }
}

}  // namespace longhaul::kernels::cuda
