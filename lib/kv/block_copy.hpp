#pragma once

#include "kernels/kv_layout.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace longhaul::kv {

/// Bytes of one block of one layer in canonical form: keys [kv_head][block_slots][key_dim], then values
/// [kv_head][block_slots][value_dim], in the cache's dtype. The packed tiles of a pool block are as long.
[[nodiscard]] inline std::int64_t canonical_bytes(kernels::KvLayout const& layout) {
    return layout.block_bytes();
}

/// Copies a pool block into canonical form, which no backend's packing enters: the form of checkpoints. Slots from
/// `num_slots` on are written as zeros.
///
/// Shapes   block: layout.block_bytes() bytes of one layer's pool; out: canonical_bytes(layout)
void unpack_block(kernels::KvLayout const& layout, std::byte const* block, std::int64_t num_slots,
                  std::span<std::byte> out);

/// Zeroes the slots from `num_slots` on of a block in canonical form.
void clear_slots(kernels::KvLayout const& layout, std::int64_t num_slots,
                 std::span<std::byte> canonical);

/// The inverse: fills a pool block, all slots of it.
void pack_block(kernels::KvLayout const& layout, std::span<std::byte const> canonical,
                std::byte* block);

}  // namespace longhaul::kv
