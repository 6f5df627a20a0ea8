#pragma once

#include <bit>
#include <cstdint>

namespace longhaul {

/// Upper half of an IEEE binary32, stored as bits.
struct BFloat16 {
    std::uint16_t bits = 0;
};
static_assert(sizeof(BFloat16) == 2);

[[nodiscard]] constexpr float to_float(BFloat16 value) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}

/// Round to nearest even; a NaN stays a (quiet) NaN.
[[nodiscard]] constexpr BFloat16 to_bfloat16(float value) {
    std::uint32_t const bits = std::bit_cast<std::uint32_t>(value);
    if ((bits & 0x7fffffffU) > 0x7f800000U) {
        return {static_cast<std::uint16_t>((bits >> 16) | 0x0040U)};
    }
    std::uint32_t const rounding = 0x7fffU + ((bits >> 16) & 1U);
    return {static_cast<std::uint16_t>((bits + rounding) >> 16)};
}

/// IEEE binary16 bits to float, subnormals and infinities included (GGUF block scales, F16 tensors).
[[nodiscard]] constexpr float half_to_float(std::uint16_t half) {
    std::uint32_t const sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
    std::uint32_t const exponent = (half >> 10) & 0x1fU;
    std::uint32_t const mantissa = half & 0x3ffU;
    if (exponent == 0x1f) {
        return std::bit_cast<float>(sign | 0x7f800000U | (mantissa << 13));
    }
    if (exponent == 0) {
        float const magnitude = static_cast<float>(mantissa) * 0x1p-24F;
        return sign != 0 ? -magnitude : magnitude;
    }
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

}  // namespace longhaul
