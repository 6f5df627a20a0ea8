#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace longhaul::io {

/// Byte offset of the first byte that does not belong to well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, at
/// most U+10FFFF); empty when all is well.
[[nodiscard]] std::optional<std::int64_t> first_invalid_utf8(std::string_view text);

/// The text with U+FFFD in place of each byte that is no UTF-8.
[[nodiscard]] std::string replace_invalid_utf8(std::string_view text);

}  // namespace longhaul::io
