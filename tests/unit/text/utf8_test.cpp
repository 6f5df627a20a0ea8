#include "text/utf8.hpp"

#include "base/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace longhaul::text {
namespace {

// Decodes by value instead of by byte ranges: slow and different from the code under test.
bool is_valid_by_value(std::string_view bytes) {
    for (std::size_t i = 0; i < bytes.size();) {
        auto const lead = static_cast<unsigned char>(bytes[i]);
        std::size_t const size = lead < 0x80       ? 1
                                 : lead >> 5 == 6  ? 2
                                 : lead >> 4 == 14 ? 3
                                 : lead >> 3 == 30 ? 4
                                                   : 0;
        if (size == 0 || i + size > bytes.size()) {
            return false;
        }
        std::uint32_t value = size == 1 ? lead : lead & (0xffU >> (size + 1));
        for (std::size_t j = 1; j < size; ++j) {
            auto const byte = static_cast<unsigned char>(bytes[i + j]);
            if (byte >> 6 != 2) {
                return false;
            }
            value = value << 6 | (byte & 0x3fU);
        }
        std::uint32_t const smallest = size == 1   ? 0
                                       : size == 2 ? 0x80
                                       : size == 3 ? 0x800
                                                   : 0x10000;
        if (value < smallest || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
            return false;
        }
        i += size;
    }
    return true;
}

TEST(Utf8, EveryCodePointSurvives) {
    for (char32_t value = 0; value <= 0x10ffff; ++value) {
        if (value >= 0xd800 && value < 0xe000) {
            continue;
        }
        std::string text;
        append_utf8(text, value);
        Utf8Sequence const sequence = utf8_sequence_at(text, 0);
        ASSERT_EQ(sequence.state, Utf8State::valid) << static_cast<std::uint32_t>(value);
        ASSERT_EQ(sequence.size, static_cast<std::int64_t>(text.size()));
        ASSERT_EQ(code_point_at(text, 0).value, value);
        ASSERT_EQ(code_point_at(text, 0).size, sequence.size);
    }
}

TEST(Utf8, AgreesWithDecodingByValueOnAllShortStrings) {
    std::string bytes;
    for (int a = 0; a < 256; ++a) {
        for (int b = 0; b < 256; b += a < 0xc0 ? 61 : 1) {
            for (int c : {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff}) {
                bytes = {static_cast<char>(a), static_cast<char>(b), static_cast<char>(c),
                         static_cast<char>(0x80)};
                for (std::size_t size = 1; size <= 4; ++size) {
                    std::string_view const part = std::string_view(bytes).substr(0, size);
                    ASSERT_EQ(!first_invalid_utf8(part).has_value(), is_valid_by_value(part))
                        << a << ' ' << b << ' ' << c << ' ' << size;
                }
            }
        }
    }
}

TEST(Utf8, FirstInvalidIsTheFirst) {
    std::string const text(37, 'x');
    for (std::size_t at = 0; at <= text.size(); ++at) {
        std::string broken = text;
        broken.insert(at, "\xc3");
        EXPECT_EQ(first_invalid_utf8(broken), static_cast<std::int64_t>(at));
    }
    EXPECT_EQ(first_invalid_utf8(""), std::nullopt);
    EXPECT_EQ(first_invalid_utf8("é漢😀"), std::nullopt);
    EXPECT_EQ(first_invalid_utf8("é\xe6\xbc"), 2);
    EXPECT_EQ(first_invalid_utf8("\xed\xa0\x80"), 0);
}

TEST(Utf8, LossyReplacesEachMaximalPart) {
    EXPECT_EQ(to_valid_utf8("a\xffz"), "a\ufffdz");
    EXPECT_EQ(to_valid_utf8("\xe6\xbc"), "\ufffd");
    EXPECT_EQ(to_valid_utf8("\xe6\xbcz"), "\ufffdz");
    EXPECT_EQ(to_valid_utf8("\xf0\x9f\x98\xf0\x9f\x98\x80"), "\ufffd😀");
    EXPECT_EQ(to_valid_utf8("\xed\xa0\x80"), "\ufffd\ufffd\ufffd");
    EXPECT_EQ(to_valid_utf8("\xc0\xaf"), "\ufffd\ufffd");
}

TEST(Utf8, LossyIsAlwaysValidAndKeepsValidText) {
    std::mt19937_64 random(11);
    for (int round = 0; round < 2000; ++round) {
        std::string bytes;
        for (std::uint64_t i = random() % 20; i > 0; --i) {
            bytes.push_back(
                static_cast<char>(random() % 3 == 0 ? 'a' + random() % 26 : random() % 256));
        }
        std::string const lossy = to_valid_utf8(bytes);
        ASSERT_TRUE(is_valid_by_value(lossy));
        if (is_valid_by_value(bytes)) {
            ASSERT_EQ(lossy, bytes);
        }
    }
}

TEST(Utf8, RequireNamesTextByteAndOffset) {
    EXPECT_NO_THROW(require_utf8("ok", "x"));
    try {
        require_utf8("abc\xfe", "the document a.txt");
        FAIL();
    } catch (ValidationError const& error) {
        EXPECT_THAT(
            error.what(),
            testing::HasSubstr("the document a.txt is not valid UTF-8: byte 0xfe at offset 3"));
    }
}

}  // namespace
}  // namespace longhaul::text
