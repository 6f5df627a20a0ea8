#pragma once

#include "base/range.hpp"
#include "io/tensor.hpp"

#include <cstddef>

namespace longhaul::io {

/// Writes elements [elements.begin, elements.end) of one stored row to out[0 .. elements.size()).
///
/// Layout      F32, F16, BF16: little-endian numbers. Blocks of 32 weights, d and m binary16:
///             Q4_0  d, 16 bytes     w = d * (q - 8)      low nibbles are weights 0..15, high nibbles 16..31
///             Q4_1  d, m, 16 bytes  w = d * q + m        same order
///             Q8_0  d, 32 int8      w = d * q
/// Accuracy    one rounding per operation in float, as ggml's reference conversion does
/// Requires    `row` points at a whole row: every block that covers a requested element is readable, at any alignment;
///             the range need not meet block boundaries
/// Source      ggml, MIT licence (the block formats)
void dequantize_row(TensorType type, std::byte const* row, Range elements, float* out);

}  // namespace longhaul::io
