#pragma once

#include "base/types.hpp"

#include <cstdint>

namespace longhaul::kernels {

/// How elements lie inside a tile.
enum class KvPacking {
    simd,  ///< for the CPU's attention kernels
    rows,  ///< for a GPU: [block_slots][dim], what its copy engine and matrix units take
};

/// Layout of one block of the KV pool of one layer: [kv_head][K tile | V tile], no padding.
///
/// K and V tiles hold block_slots x dim elements. Packed for the attention kernels of the CPU:
///   f32   K [dim][block_slots] (transposed: slots are SIMD lanes), V [block_slots][dim]
///   bf16  K [dim/2][block_slots][2] (pairs of dims), V [block_slots/2][dim][2] (pairs of slots)
/// Slots that were never written hold zeros or finite values of an earlier sequence, never NaN.
struct KvLayout {
    DType dtype = DType::bf16;
    std::int64_t block_slots = 128;  ///< even
    std::int64_t num_kv_heads = 0;   ///< heads held by this rank
    std::int64_t key_dim = 0;        ///< even
    std::int64_t value_dim = 0;      ///< even
    KvPacking packing = KvPacking::simd;

    [[nodiscard]] constexpr std::int64_t key_tile_bytes() const {
        return block_slots * key_dim * dtype_bytes(dtype);
    }
    [[nodiscard]] constexpr std::int64_t value_tile_bytes() const {
        return block_slots * value_dim * dtype_bytes(dtype);
    }
    [[nodiscard]] constexpr std::int64_t head_bytes() const {
        return key_tile_bytes() + value_tile_bytes();
    }
    [[nodiscard]] constexpr std::int64_t block_bytes() const { return num_kv_heads * head_bytes(); }

    /// Byte offset of K[slot][dim] / V[slot][dim] of a head inside a block.
    [[nodiscard]] constexpr std::int64_t key_offset(std::int64_t head, std::int64_t slot,
                                                    std::int64_t dim) const {
        std::int64_t element = slot * key_dim + dim;
        if (packing == KvPacking::simd) {
            element = dtype == DType::f32 ? dim * block_slots + slot
                                          : ((dim / 2) * block_slots + slot) * 2 + dim % 2;
        }
        return head * head_bytes() + element * dtype_bytes(dtype);
    }
    [[nodiscard]] constexpr std::int64_t value_offset(std::int64_t head, std::int64_t slot,
                                                      std::int64_t dim) const {
        std::int64_t element = slot * value_dim + dim;
        if (packing == KvPacking::simd && dtype != DType::f32) {
            element = ((slot / 2) * value_dim + dim) * 2 + slot % 2;
        }
        return head * head_bytes() + key_tile_bytes() + element * dtype_bytes(dtype);
    }
};

}  // namespace longhaul::kernels
