#include "report/format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace longhaul::report {
namespace {

// Characters of UTF-8: all bytes but continuation bytes.
std::size_t width_of(std::string const& text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](unsigned char byte) { return (byte & 0xc0U) != 0x80U; }));
}

// Divides by thousands until at most three digits are left after rounding.
std::string scaled(double value, std::array<char const*, 6> const& units) {
    std::size_t unit = 0;
    while (std::fabs(value) >= 999.5 && unit + 1 < units.size()) {
        value /= 1000;
        ++unit;
    }
    bool const fraction = unit > 0 && std::fabs(value) < 9.95;
    return fmt::format("{:.{}f}{}", value, fraction ? 1 : 0, units[unit]);
}

}  // namespace

std::string short_count(double value) { return scaled(value, {"", "k", "M", "G", "T", "P"}); }

std::string short_bytes(std::int64_t bytes) {
    return scaled(static_cast<double>(bytes), {" B", " kB", " MB", " GB", " TB", " PB"});
}

std::string grouped(std::int64_t value) {
    std::string digits = std::to_string(value);
    std::size_t const sign = value < 0 ? 1 : 0;
    for (std::size_t place = digits.size(); place > sign + 3;) {
        place -= 3;
        digits.insert(place, 1, ',');
    }
    return digits;
}

std::string clock(double seconds) {
    auto const total = static_cast<std::int64_t>(std::llround(std::clamp(seconds, 0.0, 1e9)));
    std::int64_t const days = total / 86400;
    std::int64_t const hours = total / 3600 % 24;
    std::int64_t const minutes = total / 60 % 60;
    if (days > 0) return fmt::format("{} d {:02}:{:02}", days, hours, minutes);
    if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, total % 60);
    return fmt::format("{}:{:02}", minutes, total % 60);
}

std::string duration(double seconds) {
    double const milliseconds = seconds * 1000;
    if (milliseconds < 9.95) return fmt::format("{:.1f} ms", milliseconds);
    if (milliseconds < 999.5) return fmt::format("{:.0f} ms", milliseconds);
    if (seconds < 99.95) return fmt::format("{:.2f} s", seconds);
    return fmt::format("{:.0f} s", seconds);
}

std::string aligned(std::vector<std::vector<std::string>> const& rows) {
    std::vector<std::size_t> widths;
    for (auto const& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], width_of(row[i]));
    }
    std::string text;
    for (auto const& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            std::size_t const padding = widths[i] - width_of(row[i]);
            if (i > 0) line.append(padding + 2, ' ');
            line.append(row[i]);
            if (i == 0) line.append(padding, ' ');
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text.append(line).append("\n");
    }
    return text;
}

}  // namespace longhaul::report
