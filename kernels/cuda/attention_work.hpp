#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

/// The work list as the kernels read it: plain structs in device memory, made by attention_work_list.cpp.
namespace longhaul::kernels::cuda {

/// Some consecutive slots of one pool block; a KV tile is as many pieces as its slots need (one where blocks are as long).
struct KvPiece {
    std::int32_t index = 0;  ///< block * pieces of a block + place in the block
    std::uint8_t lo = 0;     ///< slots [lo, hi) of the piece count
    std::uint8_t hi = 0;
    std::uint16_t masked = 0;     ///< 1: a slot counts for rows whose visible count is beyond it
    std::int64_t first_slot = 0;  ///< global
};
static_assert(sizeof(KvPiece) == 16);

inline constexpr std::int64_t kSeesAll = std::numeric_limits<std::int64_t>::max();

/// What one CTA works through at a time: packed rows of a chain and KV head against consecutive KV tiles.
/// Packed row p is query row p / group of the chain and head p % group of the KV head's group (GQA).
struct AttentionTile {
    std::int64_t first_piece = 0;
    std::int32_t num_kv_tiles = 0;
    std::int32_t kv_head = 0;
    std::int32_t first_row = 0;  ///< of the chain, in the row table
    std::int32_t packed_begin = 0;
    std::int32_t packed_rows = 0;
    std::int32_t pad = 0;
    std::int64_t min_visible = kSeesAll;  ///< over the rows of the tile
    std::int64_t partial = -1;  ///< first row among the partial results; -1: these are the results
};
static_assert(sizeof(AttentionTile) == 48);

/// Where the parts of a row tile of one KV head lie among the partial results: part s at base + s * packed rows.
struct TileParts {
    std::int64_t base = 0;
    std::int32_t splits = 0;  ///< 0: the tile wrote the results itself
    std::int32_t packed_rows = 0;
};

/// A query row's place in a chain, and where the chain's parts are described; a row's places stand in item order.
struct RowPlace {
    std::int32_t first_tile = 0;  ///< of the chain: parts [kv_head][row tile] from here on
    std::int32_t row_tiles = 0;
    std::int32_t tile_rows = 0;  ///< packed rows of a tile
    std::int32_t row = 0;        ///< in the chain
};
static_assert(sizeof(RowPlace) == 16);

/// A row whose result is put together from partial results: places [first, first + count). None: it sees nothing.
struct CombineRow {
    std::int32_t row = 0;
    std::int32_t first = 0;
    std::int32_t count = 0;
};

/// Everything a kernel needs, passed by value. Pointers are device memory.
struct AttentionView {
    KvPiece const* pieces = nullptr;
    std::int32_t const* rows = nullptr;
    std::int64_t const* visible = nullptr;  ///< beside rows; kSeesAll where an item has none
    AttentionTile const* tiles = nullptr;
    std::int32_t const* cta_tiles = nullptr;  ///< first tile of each persistent CTA, and the end
    TileParts const* parts = nullptr;
    CombineRow const* combine_rows = nullptr;
    RowPlace const* places = nullptr;

    std::byte const* pool = nullptr;
    void const* queries = nullptr;
    float* out = nullptr;
    float* lse = nullptr;
    float* partial_out = nullptr;
    float* partial_lse = nullptr;

    std::int64_t block_bytes = 0;
    std::int64_t head_bytes = 0;
    std::int64_t key_tile_bytes = 0;
    std::int32_t num_heads = 0;
    std::int32_t group = 0;
    std::int32_t key_dim = 0;
    std::int32_t value_dim = 0;
    std::int32_t piece_slots = 0;
    std::int32_t block_pieces = 0;
    float scale = 1.0F;
    bool fixed_splits = false;
};

}  // namespace longhaul::kernels::cuda
