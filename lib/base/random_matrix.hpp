#pragma once

#include <cstdint>

namespace longhaul {

/// A matrix whose elements are a function of seed, matrix, row and column alone: any slice of it, made on a host or by a GPU's
/// kernel in any order, has the same bits. Each is the sum of four uniform 16-bit numbers (Irwin-Hall: close to normal, at most
/// 3.5 standard deviations), which integers hold exactly, times `scale`, which rounds once: nothing depends on a library or on
/// contraction. Constexpr, so that device code may call it.
/// Source   the mixing function is SplitMix64's (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators")
struct RandomMatrix {
    std::uint64_t key = 0;  ///< of seed and matrix
    std::int64_t cols = 0;  ///< of the whole matrix
    float scale = 0.0F;     ///< of a sum

    [[nodiscard]] constexpr float at(std::int64_t row, std::int64_t col) const {
        std::uint64_t const bits =
            mix(key + static_cast<std::uint64_t>(row * cols + col) * kGoldenRatio);
        std::uint64_t const sum =
            (bits & 0xffffU) + (bits >> 16 & 0xffffU) + (bits >> 32 & 0xffffU) + (bits >> 48);
        return static_cast<float>(static_cast<std::int32_t>(sum) - kMeanOfSum) * scale;
    }

    [[nodiscard]] static constexpr std::uint64_t mix(std::uint64_t x) {
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
        x = (x ^ x >> 27) * 0x94d049bb133111ebU;
        return x ^ x >> 31;
    }

    static constexpr std::uint64_t kGoldenRatio = 0x9e3779b97f4a7c15U;
    static constexpr std::int32_t kMeanOfSum = 131070;
    static constexpr double kDeviationOfSum = 37837.2;  ///< 2^16 / sqrt(3)
};

/// Number `matrix` of `seed`, with elements of this standard deviation.
[[nodiscard]] constexpr RandomMatrix make_random_matrix(std::uint64_t seed, std::uint64_t matrix,
                                                        std::int64_t cols, double deviation) {
    std::uint64_t const key =
        RandomMatrix::mix(RandomMatrix::mix(seed + RandomMatrix::kGoldenRatio) + matrix);
    return {key, cols, static_cast<float>(deviation / RandomMatrix::kDeviationOfSum)};
}

}  // namespace longhaul
