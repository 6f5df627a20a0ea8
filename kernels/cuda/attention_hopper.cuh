#pragma once

#include "kernels/cuda/attention_detail.cuh"
#include "kernels/cuda/attention_launch.hpp"
#include "kernels/cuda/attention_tma.cuh"

#include <cuda_bf16.h>

#include <cstdint>

/// What producer and consumers of the Hopper kernel share.
namespace longhaul::kernels::cuda {

inline constexpr int kGroupThreads = 128;  ///< a warpgroup: four warps
inline constexpr int kHopperSlots = static_cast<int>(kHopperTileSlots);
inline constexpr int kStages = 2;
/// Masks outlive their keys: the scores of two tiles may be under way while keys of further ones are fetched.
inline constexpr int kMasks = 4;
/// Warps of the producer's group that bring queries and look through the values of masked tiles.
inline constexpr int kHelperWarps = 3;

template <int kDim>
struct HopperShape {
    static constexpr int kConsumers = static_cast<int>(hopper_tile_rows(kDim)) / 64;
    static constexpr int kThreads = (kConsumers + 1) * kGroupThreads;
    // setmaxnreg hands on what the launch gave: 384 threads start with 168 registers, 512 with 128.
    static constexpr int kConsumerRegisters = kConsumers == 2 ? 240 : 160;
    static constexpr int kProducerRegisters = kConsumers == 2 ? 24 : 32;
    static constexpr std::uint32_t kTileBytes = kHopperSlots * kDim * 2;
};

/// Which slots of a KV tile count.
struct TileMask {
    std::int32_t needed;  ///< some row of the tile does not see some slot
    std::int32_t lo;
    std::int32_t hi;
    std::int32_t by_visible;
    std::int64_t first_slot;
};

__device__ inline TileMask tile_mask(KvPiece const& piece, std::int64_t min_visible) {
    bool const hides = piece.masked != 0 && piece.first_slot + piece.hi > min_visible;
    bool const part = piece.lo != 0 || piece.hi != kHopperSlots;
    return {hides || part ? 1 : 0, piece.lo, piece.hi, piece.masked, piece.first_slot};
}

/// Bits 15 and 31 of the result, or of an OR of several: a pair of bf16 that are not finite, whose exponents are all ones.
__device__ inline std::uint32_t not_finite(std::uint32_t pair) {
    return (pair & 0x7F807F80U) + 0x00800080U;
}
__device__ inline std::uint32_t not_finite(uint4 const& data) {
    return not_finite(data.x) | not_finite(data.y) | not_finite(data.z) | not_finite(data.w);
}
inline constexpr std::uint32_t kNotFinite = 0x80008000U;

/// Zeroes what is not finite among eight bf16; whether there was any.
__device__ inline bool drop_not_finite(uint4& data) {
    if ((not_finite(data) & kNotFinite) == 0) {
        return false;
    }
    for (std::uint32_t* pair : {&data.x, &data.y, &data.z, &data.w}) {
        std::uint32_t const bad = not_finite(*pair);
        *pair &= ((bad & 0x8000U) != 0 ? 0U : 0xFFFFU) | ((bad >> 31) != 0 ? 0U : 0xFFFF0000U);
    }
    return true;
}

/// A row's reference for the exponents stays until a score exceeds it by this much (in log2): then nearly no tile after the
/// first rescales anything. Weights stay below 2^8, far from overflow, and as exact relative to each other.
inline constexpr float kLazyRange = 8.0F;

/// What the producer's lane asks of the warps beside it. They sleep otherwise.
struct HelperRequest {
    std::int32_t load;     ///< >= 0: bring the queries of this tile of the list
    std::int32_t scan;     ///< >= 0: look through the values in this stage
    std::uint32_t parity;  ///< of the stage's barrier
};
inline constexpr int kRequests =
    8;  ///< the producer is at most two tiles ahead, with two requests each

/// Slots of a masked tile whose values are not finite: their places hold zeros now.
struct BadValues {
    std::uint32_t slots[kHelperWarps][kHopperSlots / 32];
    std::uint32_t any[kHelperWarps];
};

template <int kDim>
struct HopperShared {
    static constexpr int kTileElements = kHopperSlots * kDim;
    alignas(1024) __nv_bfloat16 keys[kStages][kTileElements];
    alignas(1024) __nv_bfloat16 values[kStages][kTileElements];
    /// Of the tile at work and of the next.
    alignas(1024) __nv_bfloat16 queries[2][HopperShape<kDim>::kConsumers][64 * kDim];
    std::int64_t visible[2][HopperShape<kDim>::kConsumers][64];
    TileMask masks[kMasks];
    BadValues bad[2];
    HelperRequest requests[kRequests];
    Barrier keys_full[kStages];
    Barrier keys_empty[kStages];
    Barrier values_full[kStages];
    Barrier values_empty[kStages];
    Barrier values_clean[2];
    Barrier queries_full[2];
    Barrier queries_empty[2];
    Barrier requested[kRequests];
};

/// Parity of a ring of stages for its `use`-th use, counted over all stages.
__device__ inline std::uint32_t full_parity(std::uint32_t use) { return use / kStages & 1; }
__device__ inline std::uint32_t empty_parity(std::uint32_t use) { return full_parity(use) ^ 1; }

/// The tiles of this CTA's list.
struct TileRange {
    std::int32_t begin;
    std::int32_t end;
};
__device__ inline TileRange own_tiles(AttentionView const& view) {
    return {view.cta_tiles[blockIdx.x], view.cta_tiles[blockIdx.x + 1]};
}

}  // namespace longhaul::kernels::cuda
