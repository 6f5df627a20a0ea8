#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace longhaul::app {

/// "8G", "512M", "64KiB", "1000000" -> bytes. Suffixes count in powers of 1024. Throws ValidationError.
[[nodiscard]] std::int64_t parse_byte_size(std::string_view text, std::string const& option);

}  // namespace longhaul::app
