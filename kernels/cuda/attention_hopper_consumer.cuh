#pragma once

#include "kernels/cuda/attention_hopper.cuh"
#include "kernels/cuda/attention_mma.cuh"
#include "kernels/cuda/attention_wgmma.cuh"

#include <cmath>

/// A consumer's warpgroup: 64 packed rows of each tile of the CTA's list.
namespace longhaul::kernels::cuda {

/// Running softmax of a thread's two rows (first, and 8 further). Sums are the thread's share.
struct RowStates {
    float limits[2];      ///< raw score above which the reference must move
    float references[2];  ///< in log2 units
    float sums[2];
    float keep[2];  ///< what the values so far are to be multiplied by
};

template <int kDim>
class HopperConsumer {
  public:
    __device__ HopperConsumer(AttentionView const& view, HopperShared<kDim>& shared)
        : view_(view),
          shared_(shared),
          group_(static_cast<int>(threadIdx.x) / kGroupThreads - 1),
          factor_(view.scale * kLog2e) {}

    __device__ void run() {
        if (group_ == kConsumers - 1) {
            named_arrive<2 * kGroupThreads>(turn_of(0));
        }
        TileRange const range = own_tiles(view_);
        attend(range.begin, range.end);
        if (group_ == 0) {
            named_sync<2 * kGroupThreads>(turn_of(0));
        }
    }

  private:
    static constexpr int kConsumers = HopperShape<kDim>::kConsumers;
    static constexpr int kScores = kHopperSlots / 2;  ///< of a thread
    static constexpr int kValues = kDim / 2;

    __device__ static int turn_of(int group) { return 1 + group; }
    __device__ int lane() const { return static_cast<int>(threadIdx.x % 32); }
    __device__ int warp() const { return static_cast<int>(threadIdx.x / 32 % 4); }
    __device__ int first_row() const { return warp() * 16 + lane() / 4; }

    /// One stream of KV tiles over all tiles of the list: the first scores of the next one are computed beside the last values
    /// of the one before, whose results are stored in between. Masked KV tiles leave the inner loop, whose code is short so.
    __device__ void attend(std::int32_t tile, std::int32_t end) {
        float scores[kScores];
        float values[kValues];
        std::uint32_t weights[kScores / 2];
        RowStates rows = nothing_seen();
        clear(values);
        std::int32_t left = view_.tiles[tile].num_kv_tiles - 1;
        wait_for_queries();
        bool masked = wait_for_keys();
        first_scores(scores);
        softmax_masked(scores, masked, rows);
        pack(scores, weights);
        settle(masked, rows);
        for (;;) {
            while (left > 0) {
                masked = next_keys();
                while (!masked) {
                    begin_step(scores, weights, values);
                    bool const moved = softmax(scores, rows);
                    end_step(rows, values);
                    if (moved) {
                        rescale(rows, values);
                    }
                    pack(scores, weights);
                    if (--left == 0) {
                        break;
                    }
                    masked = next_keys();
                }
                if (left == 0) {
                    break;
                }
                begin_step(scores, weights, values);
                softmax_masked(scores, true, rows);
                end_step(rows, values);
                rescale(rows, values);
                pack(scores, weights);
                settle(true, rows);
                --left;
            }
            if (tile + 1 == end) {
                break;
            }
            barrier_arrive(&shared_.queries_empty[tiles_ % 2]);
            ++tiles_;
            left = view_.tiles[tile + 1].num_kv_tiles - 1;
            wait_for_queries();
            masked = next_keys();
            begin_step(scores, weights, values);
            RowStates const before = rows;
            rows = nothing_seen();
            softmax_masked(scores, masked, rows);
            end_step(rows, values);
            store(view_.tiles[tile], before, values);
            clear(values);
            pack(scores, weights);
            settle(masked, rows);
            ++tile;
        }
        barrier_wait(&shared_.values_full[use_ % kStages], full_parity(use_));
        products_fence();
        multiply_values(weights, use_, values);
        products_commit();
        products_wait<0>();
        hold(values);
        store(view_.tiles[tile], rows, values);
    }

    __device__ void first_scores(float (&scores)[kScores]) {
        products_fence();
        multiply_keys(scores);
        products_commit();
        products_wait<0>();
        hold(scores);
        release(&shared_.keys_empty[use_ % kStages]);
    }

    __device__ bool next_keys() {
        ++use_;
        return wait_for_keys();
    }

    /// Scores of the KV tile whose keys are there come to their end, values of the one before are still under way.
    __device__ void begin_step(float (&scores)[kScores],
                               std::uint32_t const (&weights)[kScores / 2],
                               float (&values)[kValues]) {
        named_sync<2 * kGroupThreads>(turn_of(group_));
        products_fence();
        multiply_keys(scores);
        products_commit();
        barrier_wait(&shared_.values_full[(use_ - 1) % kStages], full_parity(use_ - 1));
        products_fence();
        multiply_values(weights, use_ - 1, values);
        products_commit();
        named_arrive<2 * kGroupThreads>(turn_of((group_ + 1) % kConsumers));
        products_wait<1>();
        hold(scores);
        release(&shared_.keys_empty[use_ % kStages]);
    }

    __device__ void end_step(RowStates const& rows, float (&values)[kValues]) {
        keep_above(rows);
        products_wait<0>();
        hold(values);
        release(&shared_.values_empty[(use_ - 1) % kStages]);
    }

    __device__ static RowStates nothing_seen() {
        return {{-INFINITY, -INFINITY}, {0.0F, 0.0F}, {0.0F, 0.0F}, {1.0F, 1.0F}};
    }

    __device__ static void clear(float (&values)[kValues]) {
#pragma unroll
        for (int i = 0; i < kValues; ++i) {
            values[i] = 0.0F;
        }
    }

    __device__ void wait_for_queries() {
        barrier_wait(&shared_.queries_full[tiles_ % 2], full_parity(tiles_));
    }

    /// Whether some slot of the tile is hidden from some row.
    __device__ bool wait_for_keys() {
        barrier_wait(&shared_.keys_full[use_ % kStages], full_parity(use_));
        return shared_.masks[use_ % kMasks].needed != 0;
    }

    __device__ void release(Barrier* barrier) {
        __syncwarp();
        if (lane() == 0) {
            barrier_arrive(barrier);
        }
    }

    __device__ void multiply_keys(float (&scores)[kScores]) {
        constexpr std::uint32_t kQueryHalf = 64 * 128;
        constexpr std::uint32_t kKeyHalf = kHopperSlots * 128;
        std::uint32_t const queries = shared_address(shared_.queries[tiles_ % 2][group_]);
        std::uint32_t const keys = shared_address(shared_.keys[use_ % kStages]);
        multiply_rows<false>(scores, tile_descriptor(queries, 0), tile_descriptor(keys, 0));
#pragma unroll
        for (std::uint32_t k = 1; k < kDim / 16; ++k) {
            std::uint32_t const column = k % 4 * 32;
            multiply_rows<true>(scores, tile_descriptor(queries + k / 4 * kQueryHalf + column, 0),
                                tile_descriptor(keys + k / 4 * kKeyHalf + column, 0));
        }
    }

    __device__ void multiply_values(std::uint32_t const (&weights)[kScores / 2], std::uint32_t use,
                                    float (&values)[kValues]) {
        std::uint32_t const tile = shared_address(shared_.values[use % kStages]);
#pragma unroll
        for (std::uint32_t k = 0; k < kHopperSlots / 16; ++k) {
            std::uint32_t const a[4] = {weights[4 * k], weights[4 * k + 1], weights[4 * k + 2],
                                        weights[4 * k + 3]};
            multiply_add_columns(values, a, tile_descriptor(tile + k * 2048, kHopperSlots * 128));
        }
    }

    /// Scores become weights; true: some row's reference moved, and values so far must be rescaled by rows.keep.
    __device__ bool softmax(float (&scores)[kScores], RowStates& rows) {
        float largest[2] = {scores[0], scores[2]};
#pragma unroll
        for (int i = 1; i < kScores; ++i) {
            largest[i / 2 % 2] = fmaxf(largest[i / 2 % 2], scores[i]);
        }
        bool const moved =
            __any_sync(~0U, largest[0] > rows.limits[0] || largest[1] > rows.limits[1]);
        if (moved) {
            move_references(largest, rows);
        }
#pragma unroll
        for (int i = 0; i < kScores; ++i) {
            scores[i] = exp2_approx(scores[i] * factor_ - rows.references[i / 2 % 2]);
            rows.sums[i / 2 % 2] += scores[i];
        }
        return moved;
    }

    /// The same where slots may be hidden; rows.keep is to be applied in any case.
    __device__ void softmax_masked(float (&scores)[kScores], bool masked, RowStates& rows) {
        if (masked) {
            mask(scores);
        }
        rows.keep[0] = rows.keep[1] = 1.0F;
        softmax(scores, rows);
    }

    /// Each row decides by its own scores: the vote before may only skip this, or a row's bits would depend on others.
    __device__ void move_references(float (&largest)[2], RowStates& rows) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float row = largest[half];
            row = fmaxf(row, __shfl_xor_sync(~0U, row, 1));
            row = fmaxf(row, __shfl_xor_sync(~0U, row, 2));
            rows.keep[half] = 1.0F;
            if (row > rows.limits[half]) {
                float const reference = row * factor_;
                bool const first = rows.limits[half] == -INFINITY;
                rows.keep[half] = first ? 0.0F : exp2_approx(rows.references[half] - reference);
                rows.references[half] = reference;
                rows.limits[half] = row + kLazyRange / factor_;
                rows.sums[half] *= rows.keep[half];
            }
        }
    }

    __device__ void mask(float (&scores)[kScores]) {
        TileMask const& mask = shared_.masks[use_ % kMasks];
        int ends[2];
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            std::int64_t const seen =
                shared_.visible[tiles_ % 2][group_][first_row() + 8 * half] - mask.first_slot;
            ends[half] = mask.by_visible != 0 && seen < mask.hi
                             ? static_cast<int>(seen < 0 ? 0 : seen)
                             : mask.hi;
        }
        int const lo = mask.lo - lane() % 4 * 2;
        ends[0] -= lane() % 4 * 2;
        ends[1] -= lane() % 4 * 2;
#pragma unroll
        for (int i = 0; i < kScores; ++i) {
            int const slot = i / 4 * 8 + i % 2;
            if (slot < lo || slot >= ends[i / 2 % 2]) {
                scores[i] = -INFINITY;
            }
        }
    }

    /// After a masked KV tile's softmax: its values have been looked through while that was computed.
    __device__ void settle(bool masked, RowStates& rows) {
        if (!masked) {
            return;
        }
        barrier_wait(&shared_.values_clean[masked_ % 2], masked_ / 2 & 1);
        BadValues const& bad = shared_.bad[masked_ % 2];
        ++masked_;
        for (int warp = 0; warp < kHelperWarps; ++warp) {
            for (int word = 0; bad.any[warp] != 0 && word < kHopperSlots / 32; ++word) {
                for (std::uint32_t slots = bad.slots[warp][word]; slots != 0; slots &= slots - 1) {
                    spoil(word * 32 + __ffs(static_cast<int>(slots)) - 1, rows);
                }
            }
        }
    }

    /// Rows that see this slot of the KV tile become NaN.
    __device__ void spoil(int slot, RowStates& rows) {
        TileMask const& mask = shared_.masks[use_ % kMasks];
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            std::int64_t const visible =
                shared_.visible[tiles_ % 2][group_][first_row() + 8 * half];
            if (slot >= mask.lo && slot < mask.hi &&
                (mask.by_visible == 0 || mask.first_slot + slot < visible)) {
                rows.sums[half] = NAN;
            }
        }
    }

    /// The compiler would move the exponentials below the wait for the values' product, and nothing would overlap with it.
    /// A store that never happens, as sums are not negative, but must stand before the wait and needs them all.
    __device__ void keep_above(RowStates const& rows) {
        asm volatile(
            "{\n.reg .pred never;\nsetp.lt.f32 never, %0, 0f00000000;\n"
            "@never st.volatile.shared.f32 [%1], %0;\n}\n" ::"f"(rows.sums[0] + rows.sums[1]),
            "r"(shared_address(&shared_.visible[0][0][0]))
            : "memory");
    }

    __device__ void rescale(RowStates const& rows, float (&values)[kValues]) {
#pragma unroll
        for (int i = 0; i < kValues; ++i) {
            values[i] *= rows.keep[i / 2 % 2];
        }
    }

    /// Scores lie as the product with the values wants its left factor: pairs in order.
    __device__ void pack(float const (&scores)[kScores], std::uint32_t (&weights)[kScores / 2]) {
#pragma unroll
        for (int i = 0; i < kScores / 2; ++i) {
            weights[i] = pack_bf16(scores[2 * i], scores[2 * i + 1]);
        }
    }

    __device__ void store(AttentionTile const& tile, RowStates const& rows,
                          float const (&values)[kValues]) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float sum = rows.sums[half];
            sum += __shfl_xor_sync(~0U, sum, 1);
            sum += __shfl_xor_sync(~0U, sum, 2);
            int const local = group_ * 64 + first_row() + 8 * half;
            if (local >= tile.packed_rows) {
                continue;
            }
            ResultRow const result = result_row(view_, tile, local);
            float const inverse = inverse_sum(sum);
#pragma unroll
            for (int n = 0; n < kDim / 8; ++n) {
                *reinterpret_cast<float2*>(result.out + n * 8 + lane() % 4 * 2) = make_float2(
                    values[4 * n + 2 * half] * inverse, values[4 * n + 2 * half + 1] * inverse);
            }
            if (lane() % 4 == 0) {
                *result.lse = sum == 0.0F ? -INFINITY : (rows.references[half] + log2f(sum)) * kLn2;
            }
        }
    }

    AttentionView const& view_;
    HopperShared<kDim>& shared_;
    int group_;
    float factor_;
    std::uint32_t tiles_ = 0;   ///< tiles of the list begun
    std::uint32_t use_ = 0;     ///< KV tiles begun
    std::uint32_t masked_ = 0;  ///< masked ones of them
};

}  // namespace longhaul::kernels::cuda
