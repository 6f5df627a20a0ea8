#pragma once

#include "base/stream.hpp"
#include "kernels/cuda/attention_work.hpp"

#include <cuda.h>

#include <cstdint>

/// Launches of the attention kernels, one per .cu file. `view.tiles` are theirs.
namespace longhaul::kernels::cuda {

/// Query rows, slots of a KV tile.
inline constexpr std::int64_t kMmaTileRows = 64;
inline constexpr std::int64_t kMmaTileSlots = 64;
inline constexpr std::int64_t kPlainTileRows = 16;
inline constexpr std::int64_t kPlainTileSlots = 32;
inline constexpr std::int64_t kHopperTileSlots = 128;
constexpr std::int64_t hopper_tile_rows(std::int64_t dim) { return dim == 64 ? 192 : 128; }
inline constexpr std::int64_t kDecodeTileRows = 16;

void launch_attention_mma(AttentionView const& view, std::int64_t num_tiles, StreamView stream);
void launch_attention_plain(AttentionView const& view, std::int64_t num_tiles, StreamView stream);

/// Blocks of kHopperTileSlots slots with equal dims of 64 or 128, on sm_90. `view.cta_tiles` has num_ctas + 1 entries, `pool`
/// is attention_tensor_map.hpp's.
void launch_attention_hopper(AttentionView const& view, std::int64_t num_ctas,
                             CUtensorMap const& pool, StreamView stream);
/// The same for tiles of at most kDecodeTileRows rows.
void launch_attention_decode(AttentionView const& view, std::int64_t num_ctas,
                             CUtensorMap const& pool, StreamView stream);

/// Puts together the rows that have partial results; zeroes those that see nothing. `early`: it may start while the kernel
/// before it in the stream ends (sm_90), and waits for its results itself.
void launch_attention_combine(AttentionView const& view, std::int64_t num_rows, bool early,
                              StreamView stream);

}  // namespace longhaul::kernels::cuda
