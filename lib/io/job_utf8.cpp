#include "io/job_utf8.hpp"

#include <simdjson.h>

namespace longhaul::io {
namespace {

// Bytes of the well-formed character at the front of `text` (not empty); 0 when there is none.
std::size_t character_length(std::string_view text) {
    auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    unsigned const first = byte(0);
    if (first < 0x80) return 1;
    if (first < 0xc2 || first > 0xf4) return 0;
    std::size_t const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (text.size() < length) return 0;
    // The second byte's range depends on the first: no overlong forms, no surrogates, nothing above U+10FFFF.
    unsigned const low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned const high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (byte(1) < low || byte(1) > high) return 0;
    for (std::size_t i = 2; i < length; ++i) {
        if ((byte(i) & 0xc0U) != 0x80U) return 0;
    }
    return length;
}

}  // namespace

std::optional<std::int64_t> first_invalid_utf8(std::string_view text) {
    // The vectorised check says yes or no; only bad text pays for the search.
    if (simdjson::validate_utf8(text.data(), text.size())) return std::nullopt;
    std::size_t offset = 0;
    while (offset < text.size()) {
        std::size_t const length = character_length(text.substr(offset));
        if (length == 0) return static_cast<std::int64_t>(offset);
        offset += length;
    }
    return std::nullopt;
}

std::string replace_invalid_utf8(std::string_view text) {
    if (!first_invalid_utf8(text)) return std::string(text);
    std::string result;
    while (!text.empty()) {
        std::size_t const length = character_length(text);
        result.append(length == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(0, length));
        text.remove_prefix(length == 0 ? 1 : length);
    }
    return result;
}

}  // namespace longhaul::io
