#include "io/base64.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace longhaul::io {
namespace {

TEST(Base64, KnownTexts) {
    EXPECT_EQ(to_base64(""), "");
    EXPECT_EQ(to_base64("f"), "Zg==");
    EXPECT_EQ(to_base64("fo"), "Zm8=");
    EXPECT_EQ(to_base64("foo"), "Zm9v");
    EXPECT_EQ(to_base64("foob"), "Zm9vYg==");
    EXPECT_EQ(to_base64(std::string("\xff\xfe\x00", 3)), "//4A");
}

TEST(Base64, AnyBytesComeBack) {
    std::mt19937_64 random(7);
    for (std::size_t size = 0; size < 300; ++size) {
        std::string bytes(size, '\0');
        for (char& byte : bytes) byte = static_cast<char>(random());
        EXPECT_EQ(from_base64(to_base64(bytes)), bytes) << "size " << size;
    }
}

TEST(Base64, OneFormOnly) {
    for (char const* text : {"A", "Zg=", "Zg", "Z===", "====", "Zm9vY", "Zh==", "Zm9=", "Zm 9",
                             "Zm9v=g==", "Zg==Zg==", "Zm9\x80", "=m9v"}) {
        EXPECT_FALSE(from_base64(text)) << text;
    }
}

}  // namespace
}  // namespace longhaul::io
