#pragma once

#include <cstdint>
#include <string>
#include <vector>

/// Numbers as people read them.
namespace longhaul::report {

/// 7, 999, 1.2k, 34k, 1.1M, 25M, 3.1G: at most four characters and a unit.
[[nodiscard]] std::string short_count(double value);

/// 950, 12,345, 1,234,567.
[[nodiscard]] std::string grouped(std::int64_t value);

/// 12 kB, 4.2 MB (powers of ten).
[[nodiscard]] std::string short_bytes(std::int64_t bytes);

/// 0:07, 12:34, 1:02:03, 3 d 04:05.
[[nodiscard]] std::string clock(double seconds);

/// 0.8 ms, 12 ms, 1.25 s, 310 s.
[[nodiscard]] std::string duration(double seconds);

/// Rows of cells as aligned columns: the first flush left, the others flush right. Lengths count characters, not bytes.
[[nodiscard]] std::string aligned(std::vector<std::vector<std::string>> const& rows);

}  // namespace longhaul::report
