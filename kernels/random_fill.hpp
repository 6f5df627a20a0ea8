#pragma once

#include "base/random_matrix.hpp"
#include "base/range.hpp"
#include "base/types.hpp"
#include "kernels/exec_context.hpp"

#include <cstdint>

namespace longhaul::kernels {

/// Writes a slice of a random matrix, rounded to `dtype`.
///
/// Shapes   out [rows.size(), cols.size()] row-major, contiguous
/// Repeatable  the same bits from every backend, whatever slices a matrix is written in
void fill_random(ExecContext const& exec, RandomMatrix const& matrix, Range rows, Range cols,
                 void* out, DType dtype);

}  // namespace longhaul::kernels
