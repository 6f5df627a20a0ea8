#include "text/utf8.hpp"

#include "base/error.hpp"

#include <cstring>

namespace longhaul::text {
namespace {

struct LeadRule {
    std::int64_t size = 0;  // 0: cannot begin a sequence
    unsigned char second_min =
        0x80;  // the second byte's range excludes overlong forms, surrogates and > U+10FFFF
    unsigned char second_max = 0xbf;
};

LeadRule lead_rule(unsigned char lead) {
    if (lead < 0x80) {
        return {1};
    }
    if (lead < 0xc2 || lead > 0xf4) {
        return {};
    }
    if (lead < 0xe0) {
        return {2};
    }
    if (lead < 0xf0) {
        return {3, static_cast<unsigned char>(lead == 0xe0 ? 0xa0 : 0x80),
                static_cast<unsigned char>(lead == 0xed ? 0x9f : 0xbf)};
    }
    return {4, static_cast<unsigned char>(lead == 0xf0 ? 0x90 : 0x80),
            static_cast<unsigned char>(lead == 0xf4 ? 0x8f : 0xbf)};
}

// Bytes of pure ASCII from `position` on, eight at a time.
std::int64_t ascii_run(std::string_view bytes, std::int64_t position) {
    std::int64_t const end = static_cast<std::int64_t>(bytes.size());
    std::int64_t at = position;
    for (; at + 8 <= end; at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data() + at, 8);
        if ((word & 0x8080808080808080ULL) != 0) {
            break;
        }
    }
    while (at < end && static_cast<unsigned char>(bytes[static_cast<std::size_t>(at)]) < 0x80) {
        ++at;
    }
    return at - position;
}

}  // namespace

Utf8Sequence utf8_sequence_at(std::string_view bytes, std::int64_t position) {
    LH_EXPECT(position >= 0 && position < static_cast<std::int64_t>(bytes.size()));
    auto const byte = [&](std::int64_t i) {
        return static_cast<unsigned char>(bytes[static_cast<std::size_t>(position + i)]);
    };
    LeadRule const rule = lead_rule(byte(0));
    if (rule.size == 0) {
        return {Utf8State::invalid, 1};
    }
    std::int64_t const available = static_cast<std::int64_t>(bytes.size()) - position;
    for (std::int64_t i = 1; i < rule.size; ++i) {
        if (i == available) {
            return {Utf8State::incomplete, i};
        }
        unsigned char const low = i == 1 ? rule.second_min : 0x80;
        unsigned char const high = i == 1 ? rule.second_max : 0xbf;
        if (byte(i) < low || byte(i) > high) {
            return {Utf8State::invalid, i};
        }
    }
    return {Utf8State::valid, rule.size};
}

std::optional<std::int64_t> first_invalid_utf8(std::string_view bytes) {
    std::int64_t const end = static_cast<std::int64_t>(bytes.size());
    for (std::int64_t at = ascii_run(bytes, 0); at < end; at += ascii_run(bytes, at)) {
        Utf8Sequence const sequence = utf8_sequence_at(bytes, at);
        if (sequence.state != Utf8State::valid) {
            return at;
        }
        at += sequence.size;
    }
    return std::nullopt;
}

void require_utf8(std::string_view bytes, std::string_view what) {
    if (auto const offset = first_invalid_utf8(bytes)) {
        throw ValidationError(fmt::format(
            "{} is not valid UTF-8: byte {:#04x} at offset {} does not belong there; convert it "
            "(for example with iconv) or remove the bytes",
            what, static_cast<unsigned char>(bytes[static_cast<std::size_t>(*offset)]), *offset));
    }
}

std::string to_valid_utf8(std::string_view bytes) {
    std::string out;
    out.reserve(bytes.size());
    for (std::int64_t at = 0; at < static_cast<std::int64_t>(bytes.size());) {
        Utf8Sequence const sequence = utf8_sequence_at(bytes, at);
        if (sequence.state == Utf8State::valid) {
            out.append(bytes.substr(static_cast<std::size_t>(at),
                                    static_cast<std::size_t>(sequence.size)));
        } else {
            append_utf8(out, 0xfffd);
        }
        at += sequence.size;
    }
    return out;
}

void append_utf8(std::string& out, char32_t code_point) {
    LH_EXPECT(code_point <= 0x10ffff);
    auto const put = [&](char32_t bits) {
        out.push_back(static_cast<char>(static_cast<unsigned char>(bits)));
    };
    if (code_point < 0x80) {
        put(code_point);
    } else if (code_point < 0x800) {
        put(0xc0U | (code_point >> 6));
        put(0x80U | (code_point & 0x3fU));
    } else if (code_point < 0x10000) {
        put(0xe0U | (code_point >> 12));
        put(0x80U | ((code_point >> 6) & 0x3fU));
        put(0x80U | (code_point & 0x3fU));
    } else {
        put(0xf0U | (code_point >> 18));
        put(0x80U | ((code_point >> 12) & 0x3fU));
        put(0x80U | ((code_point >> 6) & 0x3fU));
        put(0x80U | (code_point & 0x3fU));
    }
}

}  // namespace longhaul::text
