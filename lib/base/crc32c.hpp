#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace longhaul {

/// CRC32C (Castagnoli polynomial, RFC 3720 appendix B.4). With the result of the bytes before as `seed` it continues them:
/// crc32c(b, crc32c(a)) is the CRC of a followed by b.
[[nodiscard]] std::uint32_t crc32c(std::span<std::byte const> bytes, std::uint32_t seed = 0);

namespace detail {

/// Both ways behind crc32c(), which takes the first where the CPU has the instruction.
[[nodiscard]] bool has_crc32c_instruction();
[[nodiscard]] std::uint32_t crc32c_by_instruction(std::span<std::byte const> bytes,
                                                  std::uint32_t seed);
[[nodiscard]] std::uint32_t crc32c_by_table(std::span<std::byte const> bytes, std::uint32_t seed);

}  // namespace detail
}  // namespace longhaul
