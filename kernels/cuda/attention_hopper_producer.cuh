#pragma once

#include "kernels/cuda/attention_hopper.cuh"

/// The producer's warpgroup: one lane fetches KV tiles, three warps help.
namespace longhaul::kernels::cuda {

template <int kDim>
class HopperFetch {
  public:
    __device__ HopperFetch(AttentionView const& view, CUtensorMap const* map,
                           HopperShared<kDim>& shared)
        : view_(view), map_(map), shared_(shared) {}

    __device__ void run() {
        TileRange const range = own_tiles(view_);
        request({range.begin, -1, 0});
        for (std::int32_t i = range.begin; i < range.end; ++i) {
            if (i + 1 < range.end) {
                request({i + 1, -1, 0});
            }
            fetch(view_.tiles[i]);
        }
        request({-1, -1, 0});
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
            request({-1, stage, full_parity(values_)});
        }
        ++values_;
    }

    __device__ void request(HelperRequest const& wanted) {
        shared_.requests[requests_ % kRequests] = wanted;
        barrier_arrive(&shared_.requested[requests_ % kRequests]);
        ++requests_;
    }

    AttentionView const& view_;
    CUtensorMap const* map_;
    HopperShared<kDim>& shared_;
    std::uint32_t keys_ = 0;
    std::uint32_t values_ = 0;
    std::uint32_t requests_ = 0;
};

template <int kDim>
class HopperHelper {
  public:
    __device__ HopperHelper(AttentionView const& view, HopperShared<kDim>& shared)
        : view_(view), shared_(shared) {}

    __device__ void run() {
        for (std::uint32_t done = 0;; ++done) {
            std::uint32_t const place = done % kRequests;
            barrier_wait(&shared_.requested[place], done / kRequests & 1);
            HelperRequest const request = shared_.requests[place];
            if (request.load >= 0) {
                load_queries(view_.tiles[request.load]);
            } else if (request.scan >= 0) {
                scan_values(request);
            } else {
                return;
            }
        }
    }

  private:
    static constexpr int kConsumers = HopperShape<kDim>::kConsumers;
    static constexpr int kValueChunks = kHopperSlots * kDim / 8;

    __device__ int warp() const { return static_cast<int>(threadIdx.x / 32 % 4) - 1; }
    __device__ int lane() const { return static_cast<int>(threadIdx.x % 32); }

    /// Sixteen-byte loads, laid down in the swizzle that the copy engine gives keys: any group of heads packs this way.
    __device__ void load_queries(AttentionTile const& tile) {
        constexpr int kChunks = kDim / 8;
        std::uint32_t const buffer = loads_ % 2;
        barrier_wait(&shared_.queries_empty[buffer], empty_parity(loads_));
        auto* target = reinterpret_cast<uint4*>(shared_.queries[buffer]);
        auto const* queries = static_cast<uint4 const*>(view_.queries);
        for (int i = warp() * 32 + lane(); i < kConsumers * 64 * kChunks; i += kHelperWarps * 32) {
            int const local = i / kChunks;
            int const chunk = i % kChunks;
            uint4 data = make_uint4(0, 0, 0, 0);
            std::int64_t visible = kSeesAll;
            if (local < tile.packed_rows) {
                PackedRow const at = packed_row(view_, tile, local);
                data = queries[(at.row * view_.num_heads + at.head) * kChunks + chunk];
                visible = at.visible;
            }
            int const row = local % 64;
            target[((local / 64 * (kDim / 64) + chunk / 8) * 64 + row) * 8 +
                   (chunk % 8 ^ row % 8)] = data;
            if (chunk == 0) {
                shared_.visible[buffer][local / 64][row] = visible;
            }
        }
        fence_for_async();
        barrier_arrive(&shared_.queries_full[buffer]);
        ++loads_;
    }

    /// A weight of zero times a value that is not finite is NaN: such values of a masked tile would reach rows that do not
    /// see their slot. They become zero here, and consumers give NaN to the rows that do see it.
    /// Consumers wait for each scan before they give the values back, so that no request is overtaken.
    __device__ void scan_values(HelperRequest const& request) {
        barrier_wait(&shared_.values_full[request.scan], request.parity);
        auto* chunks = reinterpret_cast<uint4*>(shared_.values[request.scan]);
        std::uint32_t found = 0;
#pragma unroll 4
        for (int i = warp() * 32 + lane(); i < kValueChunks; i += kHelperWarps * 32) {
            found |= not_finite(chunks[i]);
        }
        bool const any = __any_sync(~0U, (found & kNotFinite) != 0);
        BadValues& bad = shared_.bad[scans_ % 2];
        if (any) {
            drop_values(chunks, bad);
        }
        if (lane() == 0) {
            bad.any[warp()] = any ? 1 : 0;
        }
        barrier_arrive(&shared_.values_clean[scans_ % 2]);
        ++scans_;
    }

    __device__ void drop_values(uint4* chunks, BadValues& bad) {
        if (lane() < kHopperSlots / 32) {
            bad.slots[warp()][lane()] = 0;
        }
        __syncwarp();
        for (int i = warp() * 32 + lane(); i < kValueChunks; i += kHelperWarps * 32) {
            uint4 chunk = chunks[i];
            if (drop_not_finite(chunk)) {
                chunks[i] = chunk;
                int const slot = i / 8 % kHopperSlots;  // rows of 8 chunks, [dim / 64][slot]
                atomicOr(&bad.slots[warp()][slot / 32], 1U << slot % 32);
            }
        }
        fence_for_async();
        __syncwarp();
    }

    AttentionView const& view_;
    HopperShared<kDim>& shared_;
    std::uint32_t loads_ = 0;
    std::uint32_t scans_ = 0;
};

}  // namespace longhaul::kernels::cuda
