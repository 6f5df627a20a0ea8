#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// The alphabet in which byte-level BPE vocabularies are stored: one printable character per byte (GPT-2). Printable bytes of
/// Latin-1 stand for themselves, the other 68 for U+0100 and up ("Ġ" is the space).
namespace longhaul::text {

/// The letter of a byte, as UTF-8.
[[nodiscard]] std::string_view byte_letter(std::uint8_t byte);

/// Bytes that a token's stored text stands for; empty if some character is not in the alphabet.
[[nodiscard]] std::optional<std::string> bytes_of_letters(std::string_view letters);

}  // namespace longhaul::text
