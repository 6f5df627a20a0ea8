#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <vector>

namespace longhaul::comm {

inline constexpr std::uint32_t kSeed = 20240607;

/// Floats of very different size, so that the order of a sum shows. Every rank can compute those of the others.
inline std::vector<float> random_floats(std::size_t count, int rank) {
    std::mt19937 random(kSeed + static_cast<std::uint32_t>(rank));
    std::uniform_real_distribution<float> mantissa(-1.0F, 1.0F);
    std::uniform_int_distribution<int> exponent(-20, 20);
    std::vector<float> values(count);
    for (auto& value : values) {
        value = std::ldexp(mantissa(random), exponent(random));
    }
    return values;
}

/// Cheap and different for every (seed, position).
inline std::vector<std::byte> pattern(std::size_t count, std::uint64_t seed) {
    std::vector<std::byte> bytes(count);
    std::uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 1;
    for (std::size_t begin = 0; begin < count; begin += sizeof(state)) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        std::uint64_t const word = state ^ (state >> 29);
        std::memcpy(bytes.data() + begin, &word, std::min(sizeof(word), count - begin));
    }
    return bytes;
}

inline std::vector<std::uint32_t> bits_of(std::span<float const> values) {
    std::vector<std::uint32_t> bits;
    for (float const value : values) {
        bits.push_back(std::bit_cast<std::uint32_t>(value));
    }
    return bits;
}

}  // namespace longhaul::comm
