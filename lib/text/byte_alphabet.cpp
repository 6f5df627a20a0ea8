#include "text/byte_alphabet.hpp"

#include "text/utf8.hpp"

#include <array>

namespace longhaul::text {
namespace {

constexpr char32_t kFirstShifted = 0x100;
constexpr char32_t kAlphabetEnd = kFirstShifted + 68;

constexpr bool stands_for_itself(int byte) {
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

struct Alphabet {
    std::array<std::string, 256> letters;
    std::array<std::int16_t, kAlphabetEnd> bytes{};  // -1: no letter

    Alphabet() {
        bytes.fill(-1);
        char32_t shifted = kFirstShifted;
        for (int byte = 0; byte < 256; ++byte) {
            char32_t const letter =
                stands_for_itself(byte) ? static_cast<char32_t>(byte) : shifted++;
            append_utf8(letters[static_cast<std::size_t>(byte)], letter);
            bytes[letter] = static_cast<std::int16_t>(byte);
        }
    }
};

Alphabet const& alphabet() {
    static Alphabet const instance;
    return instance;
}

}  // namespace

std::string_view byte_letter(std::uint8_t byte) { return alphabet().letters[byte]; }

std::optional<std::string> bytes_of_letters(std::string_view letters) {
    if (first_invalid_utf8(letters)) {
        return std::nullopt;
    }
    std::string bytes;
    for (std::int64_t at = 0; at < static_cast<std::int64_t>(letters.size());) {
        CodePoint const letter = code_point_at(letters, at);
        std::int16_t const byte =
            letter.value < kAlphabetEnd ? alphabet().bytes[letter.value] : std::int16_t{-1};
        if (byte < 0) {
            return std::nullopt;
        }
        bytes.push_back(static_cast<char>(static_cast<unsigned char>(byte)));
        at += letter.size;
    }
    return bytes;
}

}  // namespace longhaul::text
