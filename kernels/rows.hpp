#pragma once

#include "kernels/exec_context.hpp"

#include <cstdint>
#include <span>

namespace longhaul::kernels {

/// Moves rows between two matrices of f32: to[to_rows[i]] = from[from_rows[i]], i < num_rows.
///
/// Shapes   `width` elements a row, row strides in elements; an empty list of rows stands for 0, 1, 2, ...
/// Requires every row of `to` at most once; no overlap of the rows read and written
struct CopyRowsArgs {
    float const* from = nullptr;
    std::int64_t from_stride = 0;
    std::span<std::int32_t const> from_rows;
    float* to = nullptr;
    std::int64_t to_stride = 0;
    std::span<std::int32_t const> to_rows;
    std::int64_t num_rows = 0;
    std::int64_t width = 0;
};
void copy_rows(ExecContext const& exec, CopyRowsArgs const& args);

}  // namespace longhaul::kernels
