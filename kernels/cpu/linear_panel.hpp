#pragma once

#include "base/types.hpp"
#include "kernels/exec_context.hpp"

#include <cstdint>

namespace longhaul::kernels::cpu {

/// Packed weights, one format for every instruction set, every m and for oneDNN (its BA16a64b and BA16a64b2a):
/// panels of 64 outputs, each holding all of k, zero-padded to whole panels and k to a multiple of 16 (f32) or 32 (bf16).
///   f32   [panel][k][64]
///   bf16  [panel][k/2][64][2]   pairs along k, as the AVX-512 BF16 dot product takes them
/// A matrix-vector product therefore reads one contiguous run of memory.
inline constexpr std::int64_t kPanelWidth = 64;

/// Columns are handed to threads in multiples of this: two cache lines of each k (pair) of a panel.
inline constexpr std::int64_t kColumnUnit = 32;

[[nodiscard]] constexpr std::int64_t padded_depth(std::int64_t k, DType dtype) {
    std::int64_t const multiple = dtype == DType::f32 ? 16 : 32;
    return (k + multiple - 1) / multiple * multiple;
}

/// c[rows, columns] (+)= a[rows, depth] * panel[depth, columns], part of one panel's columns, part of k.
struct PanelProduct {
    void const* a = nullptr;    ///< first row, first element of this part of k
    std::int64_t a_stride = 0;  ///< elements between rows
    std::int64_t rows = 0;
    void const* panel = nullptr;  ///< panel, first element of this part of k (even for bf16)
    void const* next = nullptr;   ///< same part of the next panel, to fetch ahead; null: none
    std::int64_t depth = 0;       ///< elements of k; may be odd in the last part only
    float* c = nullptr;           ///< first row, first column of the panel
    std::int64_t c_stride = 0;
    std::int64_t column_begin = 0;  ///< multiple of 16
    std::int64_t column_end = 0;    ///< at most 64; columns from here on are not written
    bool accumulate = false;        ///< add to what c holds
};

/// Every element of c is one chain of multiply-adds over rising k, so its bits depend on its own row and column alone.
using PanelKernel = void (*)(PanelProduct const&);

[[nodiscard]] PanelKernel panel_kernel(Isa isa, DType dtype);

void panel_product_plain_f32(PanelProduct const& product);
void panel_product_plain_bf16(PanelProduct const& product);
void panel_product_avx2_f32(PanelProduct const& product);
void panel_product_avx2_bf16(PanelProduct const& product);
void panel_product_avx512_f32(PanelProduct const& product);
void panel_product_avx512_bf16(PanelProduct const& product);         ///< widens to f32
void panel_product_avx512_native_bf16(PanelProduct const& product);  ///< vdpbf16ps

}  // namespace longhaul::kernels::cpu
