#pragma once

#include "base/types.hpp"

/// Error bounds of the tests, by element type, in one place.
namespace longhaul::test_support {

struct AttentionTolerance {
    double out = 0.0;  ///< of |out - reference|, per unit of the largest |value|
    double lse = 0.0;  ///< of |lse - reference|, per unit of max(1, |largest score|)
};

/// Against the fp64 reference on the same inputs. f32: rounding of sums of a few thousand terms. bf16: probabilities are
/// rounded to 8 bits (half an ulp is 2^-9, all in the same direction at worst); scores and sums stay f32.
[[nodiscard]] constexpr AttentionTolerance attention_tolerance(DType dtype) {
    return dtype == DType::f32 ? AttentionTolerance{.out = 1e-5, .lse = 4e-6}
                               : AttentionTolerance{.out = 0x1p-9 + 1e-5, .lse = 4e-6};
}

/// Merging of partial results and rotation: a few f32 operations. Relative to the largest input.
inline constexpr double kElementwiseTolerance = 1e-6;

/// Two roundings to bf16 of values that differ in their last f32 bits: one unit in the last place, relative to the value.
inline constexpr double kBfloat16Step = 0x1p-7;

}  // namespace longhaul::test_support
