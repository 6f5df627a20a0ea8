#include "io/base64.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace longhaul::io {
namespace {

constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint32_t kNoDigit = 64;

constexpr std::array<std::uint8_t, 256> make_values() {
    std::array<std::uint8_t, 256> values{};
    values.fill(kNoDigit);
    for (std::size_t i = 0; i < kDigits.size(); ++i) {
        values[static_cast<unsigned char>(kDigits[i])] = static_cast<std::uint8_t>(i);
    }
    return values;
}
constexpr std::array<std::uint8_t, 256> kValues = make_values();

std::uint32_t byte_at(std::string_view bytes, std::size_t at) {
    return at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0U;
}

std::uint32_t value_at(std::string_view text, std::size_t at) {
    return kValues[static_cast<unsigned char>(text[at])];
}

}  // namespace

std::string to_base64(std::string_view bytes) {
    std::string text((bytes.size() + 2) / 3 * 4, '=');
    for (std::size_t in = 0, out = 0; in < bytes.size(); in += 3, out += 4) {
        std::uint32_t const group =
            byte_at(bytes, in) << 16U | byte_at(bytes, in + 1) << 8U | byte_at(bytes, in + 2);
        std::size_t const digits = std::min<std::size_t>(bytes.size() - in, 3) + 1;
        for (std::size_t i = 0; i < digits; ++i) {
            text[out + i] = kDigits[group >> (18U - 6U * i) & 63U];
        }
    }
    return text;
}

std::optional<std::string> from_base64(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    std::size_t padding = 0;
    while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') {
        ++padding;
    }
    std::size_t const digits = text.size() - padding;
    std::string bytes(text.size() / 4 * 3 - padding, '\0');
    std::uint32_t wrong = 0;  // collected over all digits: no branch in the loop
    for (std::size_t in = 0, out = 0; in < digits; in += 4, out += 3) {
        std::uint32_t group = 0;
        for (std::size_t i = 0; i < 4; ++i) {
            std::uint32_t const value = in + i < digits ? value_at(text, in + i) : 0U;
            wrong |= value & kNoDigit;
            group = group << 6U | value;
        }
        std::size_t const count = std::min<std::size_t>(bytes.size() - out, 3);
        for (std::size_t i = 0; i < count; ++i) {
            bytes[out + i] = static_cast<char>(group >> (16U - 8U * i) & 255U);
        }
        // The bits behind the last byte are zero in what we write.
        if (count < 3 && (group & ((1U << (24U - 8U * count)) - 1U)) != 0) return std::nullopt;
    }
    return wrong == 0 ? std::optional(std::move(bytes)) : std::nullopt;
}

}  // namespace longhaul::io
