#pragma once

// Register-tiled product of a few rows of a with some columns of a panel. Included once by each linear_<isa>.cpp, which
// is compiled for its instruction set: everything lives in an anonymous namespace, since an inline function shared
// between such files could be linked in its AVX-512 form into code that runs on any processor.

#include "kernels/cpu/linear_panel.hpp"

#include <cstdint>
#include <cstring>

namespace longhaul::kernels::cpu {
namespace {

// An instruction set supplies `Ops`:
//   Element          type of a and of the panel in memory
//   Vec, Operand     vector of sums; vector of factors
//   kLanes           columns per vector
//   kStep, kParts    elements of k taken together; multiply-adds they need
//   kRows            most rows of a tile
//   vectors(rows)    vectors of columns in a tile of that many rows
//   zero, load_c, store_c, multiply_add(x, y, sum)
//   load<part>(b), broadcast<part>(a), broadcast_last<part>(a)  (the last: one element where kStep is 2)

/// Fetches part of the next panel into the second-level cache, two lines of 64 bytes per group of k.
struct Prefetch {
    char const* address = nullptr;  ///< never faults
    std::int64_t step = 0;

    [[gnu::always_inline]] void advance() {
        __builtin_prefetch(address, 0, 2);
        __builtin_prefetch(address + 64, 0, 2);
        address += step;
    }
};

template <class Ops, int Rows, int Vectors>
struct Tile {
    typename Ops::Vec sum[Rows][Vectors];

    /// Adds one multiply-add per accumulator. `Last`: a holds a single element of the pair.
    template <int Part, bool Last>
    [[gnu::always_inline]] void add(typename Ops::Element const* a, std::int64_t a_stride,
                                    typename Ops::Element const* b) {
        typename Ops::Operand y[Vectors];
        for (int v = 0; v < Vectors; ++v) {
            y[v] = Ops::template load<Part>(b + v * Ops::kLanes * Ops::kStep);
        }
        for (int r = 0; r < Rows; ++r) {
            typename Ops::Operand x;
            if constexpr (Last) {
                x = Ops::template broadcast_last<Part>(a + r * a_stride);
            } else {
                x = Ops::template broadcast<Part>(a + r * a_stride);
            }
            for (int v = 0; v < Vectors; ++v) {
                sum[r][v] = Ops::multiply_add(x, y[v], sum[r][v]);
            }
        }
    }

    [[gnu::always_inline]] void add_depth(typename Ops::Element const* a, std::int64_t a_stride,
                                          typename Ops::Element const* b, std::int64_t depth,
                                          Prefetch ahead) {
        std::int64_t k = 0;
        for (; k + Ops::kStep <= depth; k += Ops::kStep) {
            // A tile of one or two rows only waits for memory anyway.
            if constexpr (Rows > 2) {
                ahead.advance();
            }
            add<0, false>(a, a_stride, b);
            if constexpr (Ops::kParts == 2) {
                add<1, false>(a, a_stride, b);
            }
            a += Ops::kStep;
            b += kPanelWidth * Ops::kStep;
        }
        if (k < depth) {
            // The second factor of the pair is padding in the panel and missing in a: its part would add zero.
            add<0, true>(a, a_stride, b);
        }
    }

    [[gnu::always_inline]] void clear() {
        for (int r = 0; r < Rows; ++r) {
            for (int v = 0; v < Vectors; ++v) {
                sum[r][v] = Ops::zero();
            }
        }
    }
    [[gnu::always_inline]] void load(float const* c, std::int64_t stride) {
        for (int r = 0; r < Rows; ++r) {
            for (int v = 0; v < Vectors; ++v) {
                sum[r][v] = Ops::load_c(c + r * stride + v * Ops::kLanes);
            }
        }
    }
    [[gnu::always_inline]] void store(float* c, std::int64_t stride) const {
        for (int r = 0; r < Rows; ++r) {
            for (int v = 0; v < Vectors; ++v) {
                Ops::store_c(c + r * stride + v * Ops::kLanes, sum[r][v]);
            }
        }
    }
};

/// One tile at `column` of the panel; the last columns of a matrix go through a whole tile on the stack.
template <class Ops, int Rows, int Vectors>
void multiply_tile(PanelProduct const& p, std::int64_t row, std::int64_t column, Prefetch ahead) {
    constexpr std::int64_t kWidth = std::int64_t{Vectors} * Ops::kLanes;
    auto const* a = static_cast<typename Ops::Element const*>(p.a) + row * p.a_stride;
    auto const* b = static_cast<typename Ops::Element const*>(p.panel) + column * Ops::kStep;
    float* const c = p.c + row * p.c_stride + column;
    std::int64_t const columns = p.column_end - column;

    Tile<Ops, Rows, Vectors> tile;
    if (columns >= kWidth) {
        if (p.accumulate) {
            tile.load(c, p.c_stride);
        } else {
            tile.clear();
        }
        tile.add_depth(a, p.a_stride, b, p.depth, ahead);
        tile.store(c, p.c_stride);
        return;
    }
    float edge[Rows * kWidth] = {};
    auto const bytes = static_cast<std::size_t>(columns) * sizeof(float);
    for (int r = 0; r < Rows && p.accumulate; ++r) {
        std::memcpy(edge + r * kWidth, c + r * p.c_stride, bytes);
    }
    tile.load(edge, kWidth);
    tile.add_depth(a, p.a_stride, b, p.depth, ahead);
    tile.store(edge, kWidth);
    for (int r = 0; r < Rows; ++r) {
        std::memcpy(c + r * p.c_stride, edge + r * kWidth, bytes);
    }
}

/// Covers the columns with tiles of `Vectors` vectors, then with narrower ones.
template <class Ops, int Rows, int Vectors>
void multiply_columns(PanelProduct const& p, std::int64_t row, std::int64_t column,
                      Prefetch ahead) {
    constexpr std::int64_t kWidth = std::int64_t{Vectors} * Ops::kLanes;
    if constexpr (Vectors == 1) {
        for (; column < p.column_end; column += kWidth) {
            multiply_tile<Ops, Rows, 1>(p, row, column, ahead);
        }
    } else {
        for (; column + kWidth / 2 < p.column_end; column += kWidth) {
            multiply_tile<Ops, Rows, Vectors>(p, row, column, ahead);
        }
        if (column < p.column_end) {
            multiply_columns<Ops, Rows, Vectors / 2>(p, row, column, ahead);
        }
    }
}

template <class Ops, int Rows>
void multiply_rows(PanelProduct const& p, std::int64_t row, int rows, Prefetch ahead) {
    if constexpr (Rows > 0) {
        if (rows == Rows) {
            multiply_columns<Ops, Rows, Ops::vectors(Rows)>(p, row, p.column_begin, ahead);
        } else {
            multiply_rows<Ops, Rows - 1>(p, row, rows, ahead);
        }
    }
}

/// What tile `index` of `tiles` fetches. One tile streams its panel at the memory's rate while it computes. With more, the
/// first would wait for memory and the others leave it idle, so they share the next panel: half of it each where there are
/// two or three, else a quarter by the first four.
inline Prefetch prefetch_of(PanelProduct const& p, std::int64_t index, std::int64_t tiles,
                            std::int64_t groups) {
    std::int64_t const parts = tiles < 4 ? 2 : 4;
    std::int64_t const line_group = 256 / parts;
    if (p.next == nullptr || tiles == 1 || index >= parts) {
        return {static_cast<char const*>(p.panel), 0};
    }
    return {static_cast<char const*>(p.next) + index * groups * line_group, line_group};
}

/// Rows go in tiles of nearly equal height: 8 rows are 4 + 4, not 6 + 2, since low tiles wait for their operands.
template <class Ops>
void multiply_panel(PanelProduct const& p) {
    std::int64_t const tiles = (p.rows + Ops::kRows - 1) / Ops::kRows;
    for (std::int64_t t = 0; t < tiles; ++t) {
        std::int64_t const row = p.rows * t / tiles;
        std::int64_t const next = p.rows * (t + 1) / tiles;
        multiply_rows<Ops, Ops::kRows>(p, row, static_cast<int>(next - row),
                                       prefetch_of(p, t, tiles, p.depth / Ops::kStep));
    }
}

}  // namespace
}  // namespace longhaul::kernels::cpu
