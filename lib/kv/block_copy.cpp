#include "kv/block_copy.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <cstring>

namespace longhaul::kv {
namespace {

// Tiles of a few cache lines keep both sides of a transposition in the first-level cache.
constexpr std::int64_t kTile = 16;

/// out[c][r] = in[r][c]
void transpose(std::uint32_t const* in, std::int64_t rows, std::int64_t columns,
               std::uint32_t* out) {
    for (std::int64_t row = 0; row < rows; row += kTile) {
        for (std::int64_t column = 0; column < columns; column += kTile) {
            std::int64_t const row_end = std::min(rows, row + kTile);
            std::int64_t const column_end = std::min(columns, column + kTile);
            for (std::int64_t r = row; r < row_end; ++r) {
                for (std::int64_t c = column; c < column_end; ++c) {
                    out[c * rows + r] = in[r * columns + c];
                }
            }
        }
    }
}

// Values of bf16 lie as [slots/2][dim][2].
void split_slot_pairs(std::uint16_t const* in, std::int64_t slots, std::int64_t dim,
                      std::uint16_t* out) {
    for (std::int64_t pair = 0; pair < slots / 2; ++pair) {
        for (std::int64_t d = 0; d < dim; ++d) {
            out[(2 * pair) * dim + d] = in[(pair * dim + d) * 2];
            out[(2 * pair + 1) * dim + d] = in[(pair * dim + d) * 2 + 1];
        }
    }
}

void join_slot_pairs(std::uint16_t const* in, std::int64_t slots, std::int64_t dim,
                     std::uint16_t* out) {
    for (std::int64_t pair = 0; pair < slots / 2; ++pair) {
        for (std::int64_t d = 0; d < dim; ++d) {
            out[(pair * dim + d) * 2] = in[(2 * pair) * dim + d];
            out[(pair * dim + d) * 2 + 1] = in[(2 * pair + 1) * dim + d];
        }
    }
}

/// Keys are a matrix of 32-bit units in both types (one f32, or a pair of bf16): [units][slots] packed.
std::int64_t key_units(kernels::KvLayout const& layout) {
    return layout.dtype == DType::f32 ? layout.key_dim : layout.key_dim / 2;
}

void unpack_head(kernels::KvLayout const& layout, std::byte const* head, std::byte* keys,
                 std::byte* values) {
    transpose(reinterpret_cast<std::uint32_t const*>(head), key_units(layout), layout.block_slots,
              reinterpret_cast<std::uint32_t*>(keys));
    std::byte const* const tile = head + layout.key_tile_bytes();
    if (layout.dtype == DType::f32) {
        std::memcpy(values, tile, static_cast<std::size_t>(layout.value_tile_bytes()));
    } else {
        split_slot_pairs(reinterpret_cast<std::uint16_t const*>(tile), layout.block_slots,
                         layout.value_dim, reinterpret_cast<std::uint16_t*>(values));
    }
}

void pack_head(kernels::KvLayout const& layout, std::byte const* keys, std::byte const* values,
               std::byte* head) {
    transpose(reinterpret_cast<std::uint32_t const*>(keys), layout.block_slots, key_units(layout),
              reinterpret_cast<std::uint32_t*>(head));
    std::byte* const tile = head + layout.key_tile_bytes();
    if (layout.dtype == DType::f32) {
        std::memcpy(tile, values, static_cast<std::size_t>(layout.value_tile_bytes()));
    } else {
        join_slot_pairs(reinterpret_cast<std::uint16_t const*>(values), layout.block_slots,
                        layout.value_dim, reinterpret_cast<std::uint16_t*>(tile));
    }
}

}  // namespace

void clear_slots(kernels::KvLayout const& layout, std::int64_t num_slots,
                 std::span<std::byte> canonical) {
    LH_EXPECT(num_slots >= 0 && num_slots <= layout.block_slots);
    auto const clear = [&](std::byte* tile, std::int64_t dim) {
        std::int64_t const slot_bytes = dim * dtype_bytes(layout.dtype);
        std::memset(tile + num_slots * slot_bytes, 0,
                    static_cast<std::size_t>((layout.block_slots - num_slots) * slot_bytes));
    };
    std::byte* const all_values = canonical.data() + layout.num_kv_heads * layout.key_tile_bytes();
    for (std::int64_t head = 0; head < layout.num_kv_heads; ++head) {
        clear(canonical.data() + head * layout.key_tile_bytes(), layout.key_dim);
        clear(all_values + head * layout.value_tile_bytes(), layout.value_dim);
    }
}

void unpack_block(kernels::KvLayout const& layout, std::byte const* block, std::int64_t num_slots,
                  std::span<std::byte> out) {
    LH_EXPECT(layout.packing == kernels::KvPacking::simd);
    LH_EXPECT(static_cast<std::int64_t>(out.size()) == canonical_bytes(layout));
    std::byte* const all_values = out.data() + layout.num_kv_heads * layout.key_tile_bytes();
    for (std::int64_t head = 0; head < layout.num_kv_heads; ++head) {
        unpack_head(layout, block + head * layout.head_bytes(),
                    out.data() + head * layout.key_tile_bytes(),
                    all_values + head * layout.value_tile_bytes());
    }
    clear_slots(layout, num_slots, out);
}

void pack_block(kernels::KvLayout const& layout, std::span<std::byte const> canonical,
                std::byte* block) {
    LH_EXPECT(layout.packing == kernels::KvPacking::simd);
    LH_EXPECT(static_cast<std::int64_t>(canonical.size()) == canonical_bytes(layout));
    std::byte const* const all_values =
        canonical.data() + layout.num_kv_heads * layout.key_tile_bytes();
    for (std::int64_t head = 0; head < layout.num_kv_heads; ++head) {
        pack_head(layout, canonical.data() + head * layout.key_tile_bytes(),
                  all_values + head * layout.value_tile_bytes(),
                  block + head * layout.head_bytes());
    }
}

}  // namespace longhaul::kv
