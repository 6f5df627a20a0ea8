#pragma once

#include "kernels/cuda/attention_hopper.cuh"

/// The producer's warpgroup: one lane fetches, three warps look through the values of masked tiles.
namespace longhaul::kernels::cuda {

template <int kDim>
class HopperFetch {
  public:
    __device__ HopperFetch(AttentionView const& view, CUtensorMap const* map,
                           HopperShared<kDim>& shared)
        : view_(view), map_(map), shared_(shared) {}

    __device__ void run() {
        TileRange const range = own_tiles(view_);
        for (std::int32_t i = range.begin; i < range.end; ++i) {
            fetch(view_.tiles[i]);
        }
        want_scan(-1, 0);
        let_next_kernel_start();
    }

  private:
    /// Keys of the next tile come before the values of this one: its scores are wanted first.
    __device__ void fetch(AttentionTile const& tile) {
        KvPiece const* pieces = view_.pieces + tile.first_piece;
        std::int32_t const count = tile.num_kv_tiles;
        KvPiece next = pieces[0];
        std::int32_t before = 0;
        for (std::int32_t j = 0; j < count; ++j) {
            KvPiece const piece = next;
            if (j + 1 < count) {
                next = pieces[j + 1];
            }
            std::int32_t const index = (piece.index * heads() + tile.kv_head) * 2;
            fetch_keys(piece, tile.min_visible, index);
            if (j > 0) {
                fetch_values(before);
            }
            before = index;
        }
        fetch_values(before);
    }

    __device__ std::int32_t heads() const { return view_.num_heads / view_.group; }

    __device__ void fetch_keys(KvPiece const& piece, std::int64_t min_visible, std::int32_t index) {
        int const stage = static_cast<int>(keys_ % kStages);
        barrier_wait(&shared_.keys_empty[stage], empty_parity(keys_));
        shared_.masks[keys_ % kMasks] = tile_mask(piece, min_visible);
        barrier_expect(&shared_.keys_full[stage], HopperShape<kDim>::kTileBytes);
        fetch_tile(shared_.keys[stage], map_, index, &shared_.keys_full[stage]);
        ++keys_;
    }

    __device__ void fetch_values(std::int32_t index) {
        int const stage = static_cast<int>(values_ % kStages);
        barrier_wait(&shared_.values_empty[stage], empty_parity(values_));
        barrier_expect(&shared_.values_full[stage], HopperShape<kDim>::kTileBytes);
        fetch_tile(shared_.values[stage], map_, index + 1, &shared_.values_full[stage]);
        if (shared_.masks[values_ % kMasks].needed != 0) {
            want_scan(stage, full_parity(values_));
        }
        ++values_;
    }

    __device__ void want_scan(std::int32_t stage, std::uint32_t parity) {
        shared_.requests[scans_ % kScanRequests] = {stage, parity};
        barrier_arrive(&shared_.scan_wanted[scans_ % kScanRequests]);
        ++scans_;
    }

    AttentionView const& view_;
    CUtensorMap const* map_;
    HopperShared<kDim>& shared_;
    std::uint32_t keys_ = 0;
    std::uint32_t values_ = 0;
    std::uint32_t scans_ = 0;
};

/// A weight of zero times a value that is not finite is NaN: such values of a masked tile would reach rows that do not see
/// their slot. They become zero here; the rows that do see the slot get NaN by its score.
template <int kDim>
class HopperScan {
  public:
    __device__ explicit HopperScan(HopperShared<kDim>& shared) : shared_(shared) {}

    /// Consumers wait for each scan before they give the values back, so that no request is overtaken.
    __device__ void run() {
        for (std::uint32_t scans = 0;; ++scans) {
            std::uint32_t const place = scans % kScanRequests;
            barrier_wait(&shared_.scan_wanted[place], scans / kScanRequests & 1);
            ScanRequest const request = shared_.requests[place];
            if (request.stage < 0) {
                return;
            }
            barrier_wait(&shared_.values_full[request.stage], request.parity);
            scan(shared_.values[request.stage], shared_.bad[scans % 2]);
            if (lane() == 0) {
                barrier_arrive(&shared_.values_clean[scans % 2]);
            }
        }
    }

  private:
    __device__ int warp() const { return static_cast<int>(threadIdx.x / 32 % 4) - 1; }
    __device__ int lane() const { return static_cast<int>(threadIdx.x % 32); }

    __device__ void scan(__nv_bfloat16* values, BadValues& bad) {
        if (lane() < kHopperSlots / 32) {
            bad.slots[warp()][lane()] = 0;
        }
        __syncwarp();
        bool any = false;
        auto* chunks = reinterpret_cast<uint4*>(values);
        for (int i = warp() * 32 + lane(); i < kHopperSlots * kDim / 8; i += kScanWarps * 32) {
            uint4 chunk = chunks[i];
            if (drop_not_finite(chunk)) {
                any = true;
                chunks[i] = chunk;
                int const slot = i / 8 % kHopperSlots;  // rows of 8 chunks, [dim / 64][slot]
                atomicOr(&bad.slots[warp()][slot / 32], 1U << slot % 32);
            }
        }
        any = __any_sync(~0U, any);
        if (lane() == 0) {
            bad.any[warp()] = any ? 1 : 0;
        }
        fence_for_async();
        __syncwarp();
    }

    HopperShared<kDim>& shared_;
};

}  // namespace longhaul::kernels::cuda
