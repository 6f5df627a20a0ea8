#pragma once

#include "kernels/logits.hpp"

#include <array>
#include <bit>

namespace longhaul::kernels {

/// Philox 4x32 with 10 rounds (Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3").
[[nodiscard]] constexpr std::array<std::uint32_t, 4> philox4x32(
    std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
    constexpr std::uint64_t kMultiplier0 = 0xD2511F53U;
    constexpr std::uint64_t kMultiplier1 = 0xCD9E8D57U;
    constexpr std::uint32_t kWeyl0 = 0x9E3779B9U;
    constexpr std::uint32_t kWeyl1 = 0xBB67AE85U;
    for (int round = 0; round < 10; ++round) {
        std::uint64_t const product0 = kMultiplier0 * counter[0];
        std::uint64_t const product1 = kMultiplier1 * counter[2];
        counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
                   static_cast<std::uint32_t>(product1),
                   static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
                   static_cast<std::uint32_t>(product0)};
        key = {key[0] + kWeyl0, key[1] + kWeyl1};
    }
    return counter;
}

/// Noise of the candidates of one choice. The mapping is part of the results' format:
///   key      words 0 and 1 of philox(counter = (job low, job high, 0, 0), key = (seed low, seed high))
///   counter  (token id, index low, index high, choice)
///   u        ((word 1 : word 0) >> 12, plus one half) / 2^52, so 2^-53 <= u <= 1 - 2^-53
class GumbelNoise {
  public:
    explicit GumbelNoise(LogitQuery const& query)
        : index_(static_cast<std::uint64_t>(query.noise_index)), choice_(query.noise_choice) {
        auto const words = philox4x32({low(query.noise_key), high(query.noise_key), 0, 0},
                                      {low(query.noise_seed), high(query.noise_seed)});
        key_ = {words[0], words[1]};
    }

    /// The upper 52 of a candidate's 64 random bits. Constexpr, like all that a GPU's kernels call here.
    [[nodiscard]] constexpr std::uint64_t bits(TokenId token) const {
        auto const words = philox4x32(
            {static_cast<std::uint32_t>(token), low(index_), high(index_), choice_}, key_);
        return ((std::uint64_t{words[1]} << 32) | words[0]) >> 12;
    }
    [[nodiscard]] static constexpr double uniform(std::uint64_t bits) {
        return (static_cast<double>(bits) + 0.5) * 0x1p-52;
    }
    [[nodiscard]] static double noise(std::uint64_t bits);

    /// Not below noise(bits), and cheap: with v = 1 - u, -log(u) >= v, so the noise is at most -log(v).
    [[nodiscard]] static constexpr double upper_bound(std::uint64_t bits) {
        constexpr double kLn2 = 0.693147180559945309;
        std::uint64_t const distance =
            (std::uint64_t{1} << 52) - 1 - bits;  // v = (distance + 1/2) / 2^52
        // The small addend covers the rounding of the two logarithms.
        return (std::countl_zero(distance) - 11) * kLn2 + 1e-9;
    }

  private:
    static constexpr std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
    static constexpr std::uint32_t high(std::uint64_t x) {
        return static_cast<std::uint32_t>(x >> 32);
    }

    std::array<std::uint32_t, 2> key_{};
    std::uint64_t index_ = 0;
    std::uint32_t choice_ = 0;
};

}  // namespace longhaul::kernels
