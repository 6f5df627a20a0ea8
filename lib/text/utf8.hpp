#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// UTF-8 as Unicode defines it: no overlong forms, no surrogates, nothing above U+10FFFF. Offsets and sizes are bytes.
namespace longhaul::text {

enum class Utf8State {
    valid,       ///< one whole code point
    invalid,     ///< bytes that can never become valid, whatever follows
    incomplete,  ///< the text ends inside a sequence that is valid so far
};

/// What stands at one position of a byte string. `size` >= 1: bytes of the code point, or of the maximal invalid (or
/// incomplete) part, the unit that one U+FFFD replaces (Unicode 15, section 3.9).
struct Utf8Sequence {
    Utf8State state = Utf8State::invalid;
    std::int64_t size = 1;
};

/// Requires 0 <= position < bytes.size().
[[nodiscard]] Utf8Sequence utf8_sequence_at(std::string_view bytes, std::int64_t position);

/// Byte offset of the first sequence that is not valid (a cut-off one at the end included); empty if all is valid.
[[nodiscard]] std::optional<std::int64_t> first_invalid_utf8(std::string_view bytes);

/// Throws ValidationError with the byte offset. `what` names the text for the user: "the document a.txt".
void require_utf8(std::string_view bytes, std::string_view what);

/// Each invalid part becomes U+FFFD.
[[nodiscard]] std::string to_valid_utf8(std::string_view bytes);

void append_utf8(std::string& out, char32_t code_point);

struct CodePoint {
    char32_t value = 0;
    std::int64_t size = 1;
};

/// Decodes without checks. Requires valid UTF-8 and a position at the start of a code point.
[[nodiscard]] inline CodePoint code_point_at(std::string_view text, std::int64_t position) {
    auto const byte = [&](std::int64_t i) {
        return static_cast<char32_t>(
            static_cast<unsigned char>(text[static_cast<std::size_t>(position + i)]));
    };
    char32_t const lead = byte(0);
    if (lead < 0x80) {
        return {lead, 1};
    }
    if (lead < 0xe0) {
        return {((lead & 0x1fU) << 6) | (byte(1) & 0x3fU), 2};
    }
    if (lead < 0xf0) {
        return {((lead & 0x0fU) << 12) | ((byte(1) & 0x3fU) << 6) | (byte(2) & 0x3fU), 3};
    }
    return {((lead & 0x07U) << 18) | ((byte(1) & 0x3fU) << 12) | ((byte(2) & 0x3fU) << 6) |
                (byte(3) & 0x3fU),
            4};
}

}  // namespace longhaul::text
