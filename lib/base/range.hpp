#pragma once

#include "base/checked.hpp"

#include <cstdint>

namespace longhaul {

/// Half-open range [begin, end).
struct Range {
    std::int64_t begin = 0;
    std::int64_t end = 0;

    [[nodiscard]] constexpr std::int64_t size() const { return end - begin; }
    [[nodiscard]] constexpr bool empty() const { return end <= begin; }
    [[nodiscard]] constexpr bool contains(std::int64_t value) const {
        return value >= begin && value < end;
    }
    friend constexpr bool operator==(Range const&, Range const&) = default;
};

/// Part `index` of `parts` of [0, total), cut at multiples of `align` (the last part takes the remainder). Sizes differ by
/// at most one `align`, larger parts first; parts may be empty when total < parts * align.
[[nodiscard]] constexpr Range split_range(std::int64_t total, std::int64_t parts,
                                          std::int64_t index, std::int64_t align = 1) {
    LH_EXPECT(parts > 0 && index >= 0 && index < parts && align > 0 && total >= 0);
    std::int64_t const units = ceil_div(total, align);
    std::int64_t const base = units / parts;
    std::int64_t const extra = units % parts;
    auto const start = [&](std::int64_t i) {
        std::int64_t const unit = i * base + (i < extra ? i : extra);
        return unit * align < total ? unit * align : total;
    };
    return {start(index), start(index + 1)};
}

}  // namespace longhaul
