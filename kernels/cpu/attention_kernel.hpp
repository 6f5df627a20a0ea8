#pragma once

#include <cstddef>
#include <cstdint>

/// What the driver (attention.cpp) and the kernels of one instruction set (attention_<isa>.cpp) share. Plain data and
/// function pointers only: those files are compiled with instructions that this processor may lack, and an inline
/// function they share with other files could reach the program in their version.
namespace longhaul::kernels::cpu {

/// Packed rows of one task at most; a packed row is (query row, head of the KV head's group).
inline constexpr std::int64_t kTileRows = 48;
/// Partial sums kept per row: lanes of the widest vector.
inline constexpr std::int64_t kSumLanes = 16;

/// Strides of one KV head's tiles, and c of p = 2^(score c - reference).
struct TileShape {
    std::int64_t block_slots = 0;
    std::int64_t key_dim = 0;
    std::int64_t value_dim = 0;
    std::int64_t key_tile_bytes = 0;
    float score_factor = 0.0F;  ///< scale * log2(e), > 0
};

/// Packed rows with the state of their online softmax over one KV split.
///
/// `reference` (log2 units) is what the exponents are taken against: within 2^8 of the row's largest score so far, -inf
/// before the first visible slot. Rounding aside, result = out / (sum of the sums). A NaN score (+inf leads to one) shows
/// in the sums and in out for good; maxima lose it, so `reference` means nothing then, and may still be -inf.
struct RowTile {
    std::int64_t rows = 0;
    std::byte const* queries =
        nullptr;  ///< [rows][query_stride bytes], form as AttentionKernel says
    std::int64_t query_stride = 0;
    std::int64_t const* visible = nullptr;  ///< [rows] first slot that the row does not see
    float* reference = nullptr;             ///< [rows]
    float* sums = nullptr;                  ///< [rows][kSumLanes]
    float* out = nullptr;                   ///< [rows][value_dim]
};

/// One KV head's tiles of consecutive blocks.
struct BlockRun {
    std::byte const* tiles = nullptr;  ///< K tile, then V tile of the first block
    std::int64_t count = 0;
    std::int64_t block_bytes = 0;
    std::int64_t first_slot = 0;  ///< global slot of the first block
    std::int64_t slot_stride = 0;
    std::int64_t slot_begin = 0;  ///< slots below are not seen
};

/// Running result of one (row, head) over the splits and items so far. Its out is not normalised.
struct RowState {
    float* reference = nullptr;
    float* sum = nullptr;
    float* out = nullptr;
};

struct AttentionKernel {
    void (*attend)(TileShape const& shape, RowTile const& tile, BlockRun const& run) = nullptr;
    /// Adds row `row` of a finished tile to a running result.
    void (*fold)(TileShape const& shape, RowTile const& tile, std::int64_t row,
                 RowState const& into) = nullptr;
    bool widen_queries = false;  ///< bf16 layouts: queries come as f32, else in the layout's type
};

AttentionKernel f32_kernel_plain();
AttentionKernel bf16_kernel_plain();
AttentionKernel f32_kernel_avx2();
AttentionKernel bf16_kernel_avx2();
AttentionKernel f32_kernel_avx512();
AttentionKernel bf16_kernel_avx512();
AttentionKernel bf16_kernel_avx512_bf16();

}  // namespace longhaul::kernels::cpu
