#include "base/crc32c.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string_view>
#include <vector>

namespace longhaul {
namespace {

std::span<std::byte const> bytes_of(std::string_view text) {
    return std::as_bytes(std::span<char const>(text));
}

std::vector<std::byte> random_bytes(std::size_t size, std::mt19937_64& random) {
    std::vector<std::byte> bytes(size);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    return bytes;
}

// From the definition: bit by bit.
std::uint32_t slow_crc(std::span<std::byte const> bytes) {
    std::uint32_t state = ~0U;
    for (std::byte const byte : bytes) {
        state ^= std::to_integer<std::uint32_t>(byte);
        for (int bit = 0; bit < 8; ++bit) {
            state = (state >> 1) ^ ((state & 1U) != 0 ? 0x82f63b78U : 0U);
        }
    }
    return ~state;
}

TEST(Crc32c, KnownVectors) {
    std::vector<std::byte> ascending(32);
    for (std::size_t i = 0; i < 32; ++i) ascending[i] = static_cast<std::byte>(i);
    using Way = std::uint32_t (*)(std::span<std::byte const>, std::uint32_t);
    std::vector<Way> ways = {crc32c, detail::crc32c_by_table};
    if (detail::has_crc32c_instruction()) ways.push_back(detail::crc32c_by_instruction);
    for (Way const way : ways) {
        EXPECT_EQ(way({}, 0), 0U);
        EXPECT_EQ(way(bytes_of("123456789"), 0), 0xe3069283U);
        // RFC 3720 appendix B.4
        EXPECT_EQ(way(std::vector<std::byte>(32), 0), 0x8a9136aaU);
        EXPECT_EQ(way(std::vector<std::byte>(32, std::byte{0xff}), 0), 0x62a8ab43U);
        EXPECT_EQ(way(ascending, 0), 0x46dd794eU);
    }
}

TEST(Crc32c, AllWaysAgreeAtEveryLength) {
    std::mt19937_64 random(7);
    std::vector<std::byte> const bytes = random_bytes(12'000, random);
    for (std::size_t size = 0; size < 1000; ++size) {
        // Odd starts, so that no way may count on alignment.
        auto const part = std::span(bytes).subspan(size % 13, size);
        ASSERT_EQ(detail::crc32c_by_table(part, 0), slow_crc(part)) << size;
        ASSERT_EQ(crc32c(part), slow_crc(part)) << size;
    }
    for (int i = 0; i < 200; ++i) {
        std::size_t const size = random() % bytes.size();
        auto const part = std::span(bytes).subspan(random() % (bytes.size() - size), size);
        auto const seed = static_cast<std::uint32_t>(random());
        ASSERT_EQ(crc32c(part, seed), detail::crc32c_by_table(part, seed)) << size;
    }
}

TEST(Crc32c, GoesOnFromWhatCameBefore) {
    std::mt19937_64 random(8);
    std::vector<std::byte> const bytes = random_bytes(20'000, random);
    std::uint32_t const whole = crc32c(bytes);
    for (int i = 0; i < 100; ++i) {
        std::size_t const cut = random() % bytes.size();
        EXPECT_EQ(crc32c(std::span(bytes).subspan(cut), crc32c(std::span(bytes).first(cut))),
                  whole);
    }
}

}  // namespace
}  // namespace longhaul
