#pragma once

#include "kernels/cpu/attention_kernel.hpp"
#include "kernels/cpu/attention_product.hpp"

#include <math.h>  // NOLINT: exp2f, a C function, where <cmath> would bring inline ones

#include <limits>

/// The attention kernel, written once over a SIMD type and an element form; attention_<isa>.cpp instantiates it.
///
/// Six rows by a register tile of columns: scores = Q K^T into a small buffer, softmax there, out += P V. Both products
/// are the same routine, since K tiles are stored transposed. A row's arithmetic does not depend on how many rows share
/// the register tile, nor on which rows are masked: that is what makes results repeatable.
namespace longhaul::kernels::cpu {
namespace {  // NOLINT: one copy per instruction set, see attention_kernel.hpp

constexpr int kGroupRows = 6;
constexpr int kSlots = 64;  ///< slots per softmax step
constexpr float kInfinity = std::numeric_limits<float>::infinity();
/// A row's reference moves only when a score exceeds it by this much (log2): sums grow to 2^8, and rescaling is rare.
constexpr float kSlack = 8.0F;

/// 2^x, relative error 1e-7, for x up to 127; exactly 1 at 0 and 0 at -inf.
template <class S>
[[gnu::always_inline]] inline typename S::Vec exp2(typename S::Vec x) {
    typename S::Vec const n = S::split(x);
    typename S::Vec p = S::fma(S::set(0.001326472227F), x, S::set(0.009671512983F));
    p = S::fma(p, x, S::set(0.0555073376F));
    p = S::fma(p, x, S::set(0.2402224208F));
    p = S::fma(p, x, S::set(0.6931469776F));
    p = S::fma(p, x, S::set(1.0F));
    return S::scale(p, n);
}

template <class S>
void scale_row(float* row, std::int64_t count, float factor) {
    for (std::int64_t i = 0; i + S::kWidth <= count; i += S::kWidth) {
        S::store(row + i, S::mul(S::load(row + i), S::set(factor)));
    }
    if (count % S::kWidth != 0) {
        using N = typename S::Narrow;
        N::store(row + count - N::kWidth, N::mul(N::load(row + count - N::kWidth), N::set(factor)));
    }
}

/// Raises a row's reference to its new largest score and rescales what was summed against the old one. With a NaN among
/// the scores `next` may be anything: the sum and the output are NaN from then on, and nothing makes them numbers again.
template <class S>
[[gnu::noinline]] void raise_reference(TileShape const& shape, RowTile const& tile,
                                       std::int64_t row, float next) {
    float const factor = ::exp2f(tile.reference[row] - next);
    tile.reference[row] = next;
    scale_row<S>(tile.sums + row * kSumLanes, kSumLanes, factor);
    scale_row<S>(tile.out + row * shape.value_dim, shape.value_dim, factor);
}

/// Scores [rows][kSlots] become probabilities against the rows' references, in place or as bf16 pairs.
template <class S, class F, int rows>
[[gnu::always_inline]] inline void softmax(TileShape const& shape, RowTile const& tile,
                                           std::int64_t first_row, float* scores, int slots) {
    typename S::Vec const factor = S::set(shape.score_factor);
    for (int r = 0; r < rows; ++r) {
        float* row = scores + std::int64_t{r} * kSlots;
        typename S::Vec largest = S::load(row);
        for (int i = S::kWidth; i < slots; i += S::kWidth) {
            largest = S::max(largest, S::load(row + i));
        }
        largest = S::mul(largest, factor);
        if (S::any_above(largest, S::set(tile.reference[first_row + r] + kSlack))) [[unlikely]] {
            raise_reference<S>(shape, tile, first_row + r, S::reduce_max(largest));
        }
        float const reference = tile.reference[first_row + r];
        typename S::Vec const shift = S::set(reference == -kInfinity ? 0.0F : -reference);
        float* sums = tile.sums + (first_row + r) * kSumLanes;
        typename S::Vec sum = S::load(sums);
        for (int i = 0; i < slots; i += S::kWidth) {
            // Not fused: the product must round as it did for the reference, whatever its magnitude.
            typename S::Vec const scaled = S::mul(S::load(row + i), factor);
            typename S::Vec const p = exp2<S>(S::add(scaled, shift));
            sum = S::add(sum, p);
            F::template store<S>(row, i, p);
        }
        S::store(sums, sum);
    }
}

/// Slots [begin, end) of a step of `slots` that each row sees; `any` / `all` over the rows.
struct Mask {
    int begin = 0;
    int end[kGroupRows] = {};
    bool any = false;
    bool all = true;
};

template <int rows>
[[gnu::always_inline]] inline Mask make_mask(std::int64_t const* visible, std::int64_t slot_begin,
                                             std::int64_t first_slot, int slots) {
    auto const clamp = [slots](std::int64_t slot) {
        return static_cast<int>(slot < 0 ? 0 : (slot > slots ? slots : slot));
    };
    Mask mask;
    mask.begin = clamp(slot_begin - first_slot);
    for (int r = 0; r < rows; ++r) {
        mask.end[r] = clamp(visible[r] - first_slot);
        mask.any = mask.any || mask.end[r] > mask.begin;
        mask.all = mask.all && mask.end[r] == slots;
    }
    mask.all = mask.all && mask.begin == 0;
    return mask;
}

template <int rows>
[[gnu::noinline]] void hide(Mask const& mask, float* scores, int slots) {
    for (int r = 0; r < rows; ++r) {
        for (int i = 0; i < slots; ++i) {
            if (i < mask.begin || i >= mask.end[r]) {
                scores[r * kSlots + i] = -kInfinity;
            }
        }
    }
}

/// The slots of one step: where their K and V words begin, and which they are.
struct Step {
    float const* keys = nullptr;
    float const* values = nullptr;
    std::int64_t first_slot = 0;
    std::int64_t slot_begin = 0;
    int slots = 0;
    std::int64_t ahead =
        0;  ///< words from here to the same place in the next block; 0: nothing to fetch
};

/// `rows` rows of the tile against a step's slots.
template <class S, class F, int rows>
void attend_rows(TileShape const& shape, RowTile const& tile, std::int64_t first_row,
                 Step const& step) {
    Mask const mask =
        make_mask<rows>(tile.visible + first_row, step.slot_begin, step.first_slot, step.slots);
    if (!mask.any) {
        return;
    }
    std::int64_t const ahead = first_row == 0 ? step.ahead : 0;  // once is enough
    alignas(64) float scores[rows * kSlots];
    multiply<S, F, rows, false>(
        reinterpret_cast<float const*>(tile.queries + first_row * tile.query_stride),
        tile.query_stride / 4, step.keys, shape.block_slots, shape.key_dim / F::kDepth, ahead,
        scores, kSlots, step.slots);
    if (!mask.all) {
        hide<rows>(mask, scores, step.slots);
    }
    softmax<S, F, rows>(shape, tile, first_row, scores, step.slots);
    float* out = tile.out + first_row * shape.value_dim;
    multiply<S, F, rows, true>(scores, kSlots, step.values, shape.value_dim, step.slots / F::kDepth,
                               ahead, out, shape.value_dim, shape.value_dim);
}

/// The group's rows that there are: a register tile for each number of rows.
template <class S, class F, int rows>
void attend_group(TileShape const& shape, RowTile const& tile, std::int64_t first_row,
                  Step const& step) {
    if constexpr (rows > 1) {
        if (tile.rows - first_row < rows) {
            return attend_group<S, F, rows - 1>(shape, tile, first_row, step);
        }
    }
    attend_rows<S, F, rows>(shape, tile, first_row, step);
}

template <class S, class F>
void attend(TileShape const& shape, RowTile const& tile, BlockRun const& run) {
    for (std::int64_t block = 0; block < run.count; ++block) {
        std::byte const* tiles = run.tiles + block * run.block_bytes;
        auto const* keys = reinterpret_cast<float const*>(tiles);
        float const* values = keys + shape.key_tile_bytes / 4;
        for (std::int64_t offset = 0; offset < shape.block_slots; offset += kSlots) {
            std::int64_t const left = shape.block_slots - offset;
            Step const step{
                .keys = keys + offset,
                .values = values + offset / F::kDepth * shape.value_dim,
                .first_slot = run.first_slot + block * run.slot_stride + offset,
                .slot_begin = run.slot_begin,
                .slots = static_cast<int>(left < kSlots ? left : kSlots),
                .ahead = block + 1 < run.count ? run.block_bytes / 4 : 0,
            };
            for (std::int64_t row = 0; row < tile.rows; row += kGroupRows) {
                attend_group<S, F, kGroupRows>(shape, tile, row, step);
            }
        }
    }
}

/// Merges a split's result into the row's: both against the larger of the two references.
template <class S>
void fold(TileShape const& shape, RowTile const& tile, std::int64_t row, RowState const& into) {
    float sum = 0.0F;
    for (std::int64_t i = 0; i < kSumLanes; ++i) {
        sum += tile.sums[row * kSumLanes + i];
    }
    float reference = tile.reference[row];
    if (reference == -kInfinity) {
        if (sum == 0.0F) {
            return;  // saw nothing
        }
        reference = sum;  // a NaN, beside which the largest score was lost
    }
    float const* out = tile.out + row * shape.value_dim;
    bool const first = *into.reference == -kInfinity;
    float const next = first || reference > *into.reference ? reference : *into.reference;
    float const keep = first ? 0.0F : ::exp2f(*into.reference - next);
    float const weight = ::exp2f(reference - next);
    *into.sum = (first ? 0.0F : *into.sum * keep) + sum * weight;
    *into.reference = next;
    using N = typename S::Narrow;  // value_dim is a multiple of 8
    for (std::int64_t i = 0; i < shape.value_dim; i += N::kWidth) {
        typename N::Vec const old =
            first ? N::set(0.0F) : N::mul(N::load(into.out + i), N::set(keep));
        N::store(into.out + i, N::fma(N::load(out + i), N::set(weight), old));
    }
}

template <class S, class F>
AttentionKernel make_kernel() {
    return {attend<S, F>, fold<S>, F::kRowWords == 2};
}

}  // namespace
}  // namespace longhaul::kernels::cpu
