#pragma once

#include "base/stream.hpp"

#include <cstdint>

namespace longhaul::device {

/// out[i] = ((rows[0][i] + rows[1][i]) + rows[2][i]) + ... in f32, row r at rows + r * stride: the bits depend on the order of
/// the rows alone. `out` and the rows do not overlap.
///
/// Ordered in `stream`, whose device holds the data; without a stream it is host memory, and done when it returns.
/// Errors      DeviceError
void sum_rows(float const* rows, std::int64_t stride, int num_rows, float* out, std::int64_t count,
              StreamView stream);

}  // namespace longhaul::device
