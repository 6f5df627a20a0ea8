#pragma once

#include "kernels/cuda/attention_hopper.cuh"
#include "kernels/cuda/attention_mma.cuh"

#include <cmath>

/// Producer and warps of the decode kernel.
namespace longhaul::kernels::cuda {

inline constexpr int kDecodeWarps = 8;
inline constexpr int kDecodeThreads = kDecodeWarps * 32 + 32;  ///< and a warp that fetches
inline constexpr int kDecodeRows = static_cast<int>(kDecodeTileRows);
inline constexpr int kWarpSlots = kHopperSlots / kDecodeWarps;
static_assert(kDecodeRows == 16 && kWarpSlots == 16, "one product is 16 rows by 16 slots");

template <int kDim>
struct DecodeShared {
    static constexpr int kStages = 384 / kDim;  ///< of 192 KB
    static constexpr int kTileElements = kHopperSlots * kDim;
    alignas(1024) __nv_bfloat16 keys[kStages][kTileElements];
    alignas(1024) __nv_bfloat16 values[kStages][kTileElements];
    float4 merge[kDecodeWarps / 2][kDim / 8][32];  ///< accumulators as the lanes hold them
    float references[kDecodeWarps][kDecodeRows];
    float sums[kDecodeWarps][kDecodeRows];
    TileMask masks[kStages];
    Barrier full[kStages];
    Barrier empty[kStages];
};

template <int kDim>
__device__ void fetch_all(AttentionView const& view, CUtensorMap const* map,
                          DecodeShared<kDim>& shared) {
    constexpr std::uint32_t kStages = DecodeShared<kDim>::kStages;
    std::uint32_t use = 0;
    TileRange const range = own_tiles(view);
    for (std::int32_t i = range.begin; i < range.end; ++i) {
        AttentionTile const tile = view.tiles[i];
        KvPiece const* pieces = view.pieces + tile.first_piece;
        KvPiece next = pieces[0];
        for (std::int32_t j = 0; j < tile.num_kv_tiles; ++j, ++use) {
            KvPiece const piece = next;
            if (j + 1 < tile.num_kv_tiles) {
                next = pieces[j + 1];
            }
            std::uint32_t const stage = use % kStages;
            barrier_wait(&shared.empty[stage], use / kStages % 2 ^ 1);
            shared.masks[stage] = tile_mask(piece, tile.min_visible);
            barrier_expect(&shared.full[stage], 2 * kHopperSlots * kDim * 2);
            std::int32_t const index =
                (piece.index * (view.num_heads / view.group) + tile.kv_head) * 2;
            fetch_tile(shared.keys[stage], map, index, &shared.full[stage]);
            fetch_tile(shared.values[stage], map, index + 1, &shared.full[stage]);
        }
    }
    let_next_kernel_start();
}

template <int kDim>
class DecodeWarp {
  public:
    __device__ DecodeWarp(AttentionView const& view, DecodeShared<kDim>& shared)
        : view_(view),
          shared_(shared),
          warp_(static_cast<int>(threadIdx.x) / 32),
          lane_(static_cast<int>(threadIdx.x) % 32),
          factor_(view.scale * kLog2e) {}

    __device__ void run() {
        TileRange const range = own_tiles(view_);
        for (std::int32_t i = range.begin; i < range.end; ++i) {
            AttentionTile const tile = view_.tiles[i];
            begin(tile);
            for (std::int32_t j = 0; j < tile.num_kv_tiles; ++j) {
                attend();
            }
            merge_warps();
            if (warp_ == 0) {
                store(tile);
            }
        }
    }

  private:
    static constexpr std::uint32_t kStages = DecodeShared<kDim>::kStages;
    static constexpr int kValueBlocks = kDim / 8;

    __device__ void begin(AttentionTile const& tile) {
        auto const* queries = static_cast<std::uint32_t const*>(view_.queries);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            int const local = lane_ / 4 + 8 * half;
            bool const there = local < tile.packed_rows;
            PackedRow const at = packed_row(view_, tile, there ? local : 0);
            std::uint32_t const* row =
                queries + (at.row * view_.num_heads + at.head) * (kDim / 2) + lane_ % 4;
            visible_[half] = there ? at.visible : kSeesAll;
#pragma unroll
            for (int k = 0; k < kDim / 16; ++k) {
                queries_[k][half] = there ? row[k * 8] : 0;
                queries_[k][2 + half] = there ? row[k * 8 + 4] : 0;
            }
            limits_[half] = -INFINITY;
            references_[half] = 0.0F;
            sums_[half] = 0.0F;
        }
#pragma unroll
        for (int n = 0; n < kValueBlocks; ++n) {
            values_[n][0] = values_[n][1] = values_[n][2] = values_[n][3] = 0.0F;
        }
    }

    /// Address of a lane's row for a load of four 8 x 8 matrices: 16-byte chunk `chunk` of row `row` in the swizzle.
    __device__ static std::uint32_t chunk_address(std::uint32_t tile, int row, int chunk) {
        return tile + static_cast<std::uint32_t>(chunk / 8 * kHopperSlots * 128 + row * 128 +
                                                 (chunk % 8 ^ row % 8) * 16);
    }

    __device__ void attend() {
        std::uint32_t const stage = use_ % kStages;
        barrier_wait(&shared_.full[stage], use_ / kStages % 2);
        float scores[2][4] = {};
        multiply_keys(shared_address(shared_.keys[stage]), scores);
        if (shared_.masks[stage].needed != 0) {
            mask(shared_.masks[stage], shared_.values[stage], scores);
        }
        softmax(scores);
        multiply_values(shared_address(shared_.values[stage]), scores);
        __syncwarp();
        if (lane_ == 0) {
            barrier_arrive(&shared_.empty[stage]);
        }
        ++use_;
    }

    __device__ void multiply_keys(std::uint32_t keys, float (&scores)[2][4]) {
        int const row = warp_ * kWarpSlots + lane_ % 8 + lane_ / 16 * 8;
#pragma unroll
        for (int k = 0; k < kDim / 16; ++k) {
            std::uint32_t b[4];
            load_matrices(b, chunk_address(keys, row, k * 2 + lane_ / 8 % 2));
            multiply_add(scores[0], queries_[k], b[0], b[1]);
            multiply_add(scores[1], queries_[k], b[2], b[3]);
        }
    }

    __device__ void multiply_values(std::uint32_t values, float const (&scores)[2][4]) {
        int const row = warp_ * kWarpSlots + lane_ % 16;
        std::uint32_t const a[4] = {
            pack_bf16(scores[0][0], scores[0][1]), pack_bf16(scores[0][2], scores[0][3]),
            pack_bf16(scores[1][0], scores[1][1]), pack_bf16(scores[1][2], scores[1][3])};
#pragma unroll
        for (int n = 0; n < kValueBlocks; n += 2) {
            std::uint32_t b[4];
            load_matrices_transposed(b, chunk_address(values, row, n + lane_ / 16));
            multiply_add(values_[n], a, b[0], b[1]);
            multiply_add(values_[n + 1], a, b[2], b[3]);
        }
    }

    __device__ void mask(TileMask const& mask, __nv_bfloat16* values, float (&scores)[2][4]) {
        std::uint32_t const bad = drop_bad_values(values);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            int const in_warp = i / 4 * 8 + lane_ % 4 * 2 + i % 2;
            int const slot = warp_ * kWarpSlots + in_warp;
            bool seen = slot >= mask.lo && slot < mask.hi;
            seen = seen && (mask.by_visible == 0 || mask.first_slot + slot < visible_[i / 2 % 2]);
            float& score = scores[i / 4][i % 4];
            score = !seen ? -INFINITY : (bad >> in_warp & 1) != 0 ? NAN : score;
        }
    }

    /// Zeroes values of this warp's slots that are not finite (see HopperScan); a bit for each such slot.
    __device__ std::uint32_t drop_bad_values(__nv_bfloat16* values) {
        std::uint32_t bad = 0;
        auto* chunks = reinterpret_cast<uint4*>(values);
        for (int i = lane_; i < kWarpSlots * kDim / 8; i += 32) {
            int const slot = i % kWarpSlots;
            int const chunk = i / kWarpSlots;
            int const at = (chunk / 8 * kHopperSlots + warp_ * kWarpSlots + slot) * 8 + chunk % 8;
            uint4 data = chunks[at];
            if (drop_not_finite(data)) {
                chunks[at] = data;
                bad |= 1U << slot;
            }
        }
        bad = __reduce_or_sync(~0U, bad);
        if (bad != 0) {
            fence_for_async();  // the copy engine writes here next
        }
        __syncwarp();
        return bad;
    }

    /// As the prefill kernel's: each row's reference moves by its own scores alone.
    __device__ void softmax(float (&scores)[2][4]) {
        float largest[2];
        bool moved = false;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            largest[half] = fmaxf(fmaxf(scores[0][2 * half], scores[0][2 * half + 1]),
                                  fmaxf(scores[1][2 * half], scores[1][2 * half + 1]));
            moved = moved || largest[half] > limits_[half];
        }
        if (__any_sync(~0U, moved)) {
            move_references(largest);
        }
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            float& score = scores[i / 4][i % 4];
            score = exp2_approx(score * factor_ - references_[i / 2 % 2]);
            sums_[i / 2 % 2] += score;
        }
    }

    __device__ void move_references(float (&largest)[2]) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float row = largest[half];
            row = fmaxf(row, __shfl_xor_sync(~0U, row, 1));
            row = fmaxf(row, __shfl_xor_sync(~0U, row, 2));
            if (row > limits_[half]) {
                float const reference = row * factor_;
                bool const first = limits_[half] == -INFINITY;
                rescale(half, first ? 0.0F : exp2_approx(references_[half] - reference));
                references_[half] = reference;
                limits_[half] = row + kLazyRange / factor_;
            }
        }
    }

    __device__ void rescale(int half, float keep) {
        sums_[half] *= keep;
#pragma unroll
        for (int n = 0; n < kValueBlocks; ++n) {
            values_[n][2 * half] *= keep;
            values_[n][2 * half + 1] *= keep;
        }
    }

    __device__ static void sync_warps() { named_sync<kDecodeWarps * 32>(1); }

    /// The warps' states become warp 0's: a common reference, then a tree of sums.
    __device__ void merge_warps() {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            sums_[half] += __shfl_xor_sync(~0U, sums_[half], 1);
            sums_[half] += __shfl_xor_sync(~0U, sums_[half], 2);
            if (lane_ % 4 == 0) {
                shared_.references[warp_][lane_ / 4 + 8 * half] =
                    limits_[half] == -INFINITY ? -INFINITY : references_[half];
            }
        }
        sync_warps();
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            int const row = lane_ / 4 + 8 * half;
            float common = -INFINITY;
            for (int warp = 0; warp < kDecodeWarps; ++warp) {
                common = fmaxf(common, shared_.references[warp][row]);
            }
            bool const nothing = limits_[half] == -INFINITY;
            rescale(half, nothing ? 0.0F : exp2_approx(references_[half] - common));
            references_[half] = common;
            if (lane_ % 4 == 0) {
                shared_.sums[warp_][row] = sums_[half];
            }
        }
#pragma unroll
        for (int others = kDecodeWarps / 2; others > 0; others /= 2) {
            if (warp_ >= others && warp_ < 2 * others) {
                hand_over(shared_.merge[warp_ - others]);
            }
            sync_warps();
            if (warp_ < others) {
                take_over(shared_.merge[warp_]);
            }
            sync_warps();
        }
    }

    __device__ void hand_over(float4 (&merge)[kValueBlocks][32]) {
#pragma unroll
        for (int n = 0; n < kValueBlocks; ++n) {
            merge[n][lane_] =
                make_float4(values_[n][0], values_[n][1], values_[n][2], values_[n][3]);
        }
    }

    __device__ void take_over(float4 const (&merge)[kValueBlocks][32]) {
#pragma unroll
        for (int n = 0; n < kValueBlocks; ++n) {
            float4 const more = merge[n][lane_];
            values_[n][0] += more.x;
            values_[n][1] += more.y;
            values_[n][2] += more.z;
            values_[n][3] += more.w;
        }
    }

    __device__ void store(AttentionTile const& tile) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            int const local = lane_ / 4 + 8 * half;
            if (local >= tile.packed_rows) {
                continue;
            }
            float sum = 0.0F;
            for (int warp = 0; warp < kDecodeWarps; ++warp) {
                sum += shared_.sums[warp][local];
            }
            ResultRow const result = result_row(view_, tile, local);
            float const inverse = inverse_sum(sum);
#pragma unroll
            for (int n = 0; n < kValueBlocks; ++n) {
                *reinterpret_cast<float2*>(result.out + n * 8 + lane_ % 4 * 2) =
                    make_float2(values_[n][2 * half] * inverse, values_[n][2 * half + 1] * inverse);
            }
            if (lane_ % 4 == 0) {
                *result.lse = sum == 0.0F ? -INFINITY : (references_[half] + log2f(sum)) * kLn2;
            }
        }
    }

    AttentionView const& view_;
    DecodeShared<kDim>& shared_;
    int warp_;
    int lane_;
    float factor_;
    std::uint32_t use_ = 0;  ///< KV tiles begun
    std::uint32_t queries_[kDim / 16][4];
    std::int64_t visible_[2];
    float limits_[2];
    float references_[2];
    float sums_[2];
    float values_[kValueBlocks][4];
};

}  // namespace longhaul::kernels::cuda
