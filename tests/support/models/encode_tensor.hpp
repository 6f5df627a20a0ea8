#pragma once

#include "io/tensor.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace longhaul::test {

/// float to binary16, round to nearest even; finite values beyond its range become infinite.
[[nodiscard]] std::uint16_t float_to_half(float value);

/// Stores `values` (whole rows of the type's blocks) in the format of the type. Blocks are quantised the plain way: by the
/// value of largest magnitude (Q4_0, Q8_0) or by minimum and maximum (Q4_1).
[[nodiscard]] std::string encode_tensor(io::TensorType type, std::vector<float> const& values);

/// The numbers that a reader of encode_tensor's bytes sees. Uses the reader under test: for models that must hold the same
/// numbers in two formats, not for checking the reader.
[[nodiscard]] std::vector<float> rounded_to_type(io::TensorType type,
                                                 std::vector<float> const& values);

}  // namespace longhaul::test
