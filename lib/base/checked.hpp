#pragma once

#include "base/error.hpp"

#include <cstdint>
#include <optional>
#include <utility>

namespace longhaul {

/// Narrows an integer; a value that does not fit is a broken contract.
template <class To, class From>
[[nodiscard]] constexpr To checked_cast(From value) {
    LH_EXPECT(std::in_range<To>(value));
    return static_cast<To>(value);
}

/// a * b without overflow, for sizes that come from files. Empty when it does not fit or a factor is negative.
[[nodiscard]] constexpr std::optional<std::int64_t> checked_multiply(std::int64_t a,
                                                                     std::int64_t b) {
    std::int64_t product = 0;
    if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product)) {
        return std::nullopt;
    }
    return product;
}

[[nodiscard]] constexpr std::int64_t ceil_div(std::int64_t value, std::int64_t divisor) {
    return (value + divisor - 1) / divisor;
}

[[nodiscard]] constexpr std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
    return ceil_div(value, multiple) * multiple;
}

[[nodiscard]] constexpr std::int64_t round_down(std::int64_t value, std::int64_t multiple) {
    return value / multiple * multiple;
}

}  // namespace longhaul
