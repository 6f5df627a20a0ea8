#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace longhaul::io {

/// Base64 (RFC 4648, with padding) of any bytes.
[[nodiscard]] std::string to_base64(std::string_view bytes);
/// Nothing when the text is not what to_base64 writes.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

/// Numbers as the base64 of their bytes, little endian: exact for every bit pattern, and a million of them are read in
/// milliseconds. In Python: numpy.frombuffer(base64.b64decode(text), "<f4") or "<i4".
template <class T>
requires std::is_arithmetic_v<T>
[[nodiscard]] std::string numbers_to_base64(std::vector<T> const& values) {
    return to_base64({reinterpret_cast<char const*>(values.data()), values.size() * sizeof(T)});
}

}  // namespace longhaul::io
