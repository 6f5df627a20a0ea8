#pragma once

#include "base/stream.hpp"
#include "kernels/cuda/attention_work.hpp"

#include <cstdint>

/// Launches of the attention kernels, one per .cu file. `view.tiles` are theirs.
namespace longhaul::kernels::cuda {

/// Query rows, slots of a KV tile.
inline constexpr std::int64_t kMmaTileRows = 64;
inline constexpr std::int64_t kMmaTileSlots = 64;
inline constexpr std::int64_t kPlainTileRows = 16;
inline constexpr std::int64_t kPlainTileSlots = 32;

void launch_attention_mma(AttentionView const& view, std::int64_t num_tiles, StreamView stream);
void launch_attention_plain(AttentionView const& view, std::int64_t num_tiles, StreamView stream);

/// Puts together the rows that have partial results; zeroes those that see nothing.
void launch_attention_combine(AttentionView const& view, std::int64_t num_rows, StreamView stream);

}  // namespace longhaul::kernels::cuda
