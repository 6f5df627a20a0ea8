#include "text/unicode_class.hpp"

#include "text/gpt2_pretokenizer.hpp"
#include "text/regex_pretokenizer.hpp"
#include "text/utf8.hpp"

#include <gtest/gtest.h>

namespace longhaul::text {
namespace {

constexpr char32_t kEnd = 0x110000;

bool is_surrogate(char32_t value) { return value >= 0xd800 && value < 0xe000; }

// For each code point, whether it is in the class; `member` is an ASCII member, and `[class]+` takes neighbours together.
std::vector<bool> members(std::string const& char_class, char member) {
    std::string text;
    std::vector<std::int64_t> places(kEnd, -1);
    for (char32_t value = 0; value < kEnd; ++value) {
        if (!is_surrogate(value)) {
            text += {'|', member};
            places[value] = static_cast<std::int64_t>(text.size());
            append_utf8(text, value);
        }
    }
    std::vector<PreToken> pieces;
    RegexPreTokenizer({"[" + char_class + "]+"}).split(text, 0, pieces);
    std::vector<bool> begins_piece(text.size());
    for (PreToken const& piece : pieces) {
        begins_piece[static_cast<std::size_t>(piece.byte_begin)] = true;
    }
    std::vector<bool> result(kEnd);
    for (char32_t value = 0; value < kEnd; ++value) {
        result[value] =
            places[value] >= 0 && !begins_piece[static_cast<std::size_t>(places[value])];
    }
    return result;
}

// utf8proc (Unicode 15) against PCRE2 (Unicode 14): they may differ only where PCRE2 knows no character yet.
TEST(UnicodeClass, AgreesWithPcre2OnEveryAssignedCodePoint) {
    std::vector<bool> const letters = members(R"(a\p{L})", 'a');
    std::vector<bool> const numbers = members(R"(1\p{N})", '1');
    std::vector<bool> const spaces = members(R"( \x09-\x0d\x85\p{Z})", ' ');
    std::vector<bool> const unassigned = members(R"(!\p{Cn})", '!');
    std::int64_t newer = 0;
    for (char32_t value = 0; value < kEnd; ++value) {
        if (is_surrogate(value)) {
            continue;
        }
        CharClass const expected = letters[value]   ? CharClass::letter
                                   : numbers[value] ? CharClass::number
                                   : spaces[value]  ? CharClass::space
                                                    : CharClass::other;
        ASSERT_EQ(ClassTable::instance()(value), classify(value));
        if (classify(value) != expected) {
            ASSERT_TRUE(unassigned[value]) << std::hex << static_cast<std::uint32_t>(value);
            ++newer;
        }
    }
    // All of Unicode 15's additions together are 4489.
    EXPECT_LE(newer, 4489);
}

TEST(UnicodeClass, WhiteSpaceIsTheUnicodeProperty) {
    std::vector<char32_t> const expected{0x09,   0x0a,   0x0b,   0x0c,   0x0d,   0x20,   0x85,
                                         0xa0,   0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004,
                                         0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a, 0x2028,
                                         0x2029, 0x202f, 0x205f, 0x3000};
    std::vector<char32_t> found;
    for (char32_t value = 0; value < kEnd; ++value) {
        if (classify(value) == CharClass::space) {
            found.push_back(value);
        }
    }
    EXPECT_EQ(found, expected);
}

}  // namespace
}  // namespace longhaul::text
