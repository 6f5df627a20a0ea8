#pragma once

#include "kernels/cuda/attention_work.hpp"

#include <cstdint>

/// What every attention kernel does in the same way. Device code.
namespace longhaul::kernels::cuda {

inline constexpr float kLog2e = 1.4426950408889634F;
inline constexpr float kLn2 = 0.6931471805599453F;

/// Key and value tiles of a piece's block and head, at the piece's first slot.
struct PieceTiles {
    std::byte const* keys;
    std::byte const* values;
};

__device__ inline PieceTiles piece_tiles(AttentionView const& view, KvPiece const& piece,
                                         std::int32_t kv_head, std::int32_t element_bytes) {
    std::int32_t const block = piece.index / view.block_pieces;
    std::int64_t const slot =
        static_cast<std::int64_t>(piece.index % view.block_pieces) * view.piece_slots;
    std::byte const* head = view.pool + block * view.block_bytes + kv_head * view.head_bytes;
    return {head + slot * view.key_dim * element_bytes,
            head + view.key_tile_bytes + slot * view.value_dim * element_bytes};
}

/// A slot is seen by rows whose visible count is above its threshold: so one comparison does for every kind of piece.
inline constexpr std::int64_t kSeenByAll = INT64_MIN;
inline constexpr std::int64_t kSeenByNone = INT64_MAX;

__device__ inline std::int64_t threshold(KvPiece const& piece, std::int32_t slot) {
    if (slot < piece.lo || slot >= piece.hi) {
        return kSeenByNone;
    }
    return piece.masked != 0 ? piece.first_slot + slot : kSeenByAll;
}

/// Query row and head of a packed row of a tile.
struct PackedRow {
    std::int64_t row;
    std::int32_t head;
    std::int64_t visible;
};

__device__ inline PackedRow packed_row(AttentionView const& view, AttentionTile const& tile,
                                       std::int32_t local) {
    std::int32_t const packed = tile.packed_begin + local;
    std::int32_t const index = tile.first_row + packed / view.group;
    return {view.rows[index], tile.kv_head * view.group + packed % view.group, view.visible[index]};
}

/// Where a packed row's result goes.
struct ResultRow {
    float* out;
    float* lse;
};

__device__ inline ResultRow result_row(AttentionView const& view, AttentionTile const& tile,
                                       std::int32_t local) {
    if (tile.partial >= 0) {
        std::int64_t const place = tile.partial + local;
        return {view.partial_out + place * view.value_dim, view.partial_lse + place};
    }
    PackedRow const at = packed_row(view, tile, local);
    std::int64_t const place = at.row * view.num_heads + at.head;
    return {view.out + place * view.value_dim, view.lse + place};
}

/// 0 for a row that saw nothing, NaN for one whose sum is.
__device__ inline float inverse_sum(float sum) { return sum == 0.0F ? 0.0F : 1.0F / sum; }

}  // namespace longhaul::kernels::cuda
