#include "kernels/cuda/attention_schedule.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

namespace longhaul::kernels::cuda {
namespace {

constexpr std::int64_t kCtas = 132;

/// Busiest CTA over the average one, when tiles are cut and dealt out.
double imbalance(std::vector<std::int64_t> const& lengths) {
    std::vector<std::int32_t> const splits = choose_splits(lengths, {kCtas, 8, 0});
    std::vector<std::int64_t> parts;
    for (std::size_t tile = 0; tile < lengths.size(); ++tile) {
        EXPECT_GE(splits[tile], 1);
        for (std::int64_t part = 0; part < splits[tile]; ++part) {
            parts.push_back(lengths[tile] * (part + 1) / splits[tile] -
                            lengths[tile] * part / splits[tile]);
        }
    }
    std::vector<std::int32_t> const owner = deal_out(parts, longest_first(parts), kCtas);
    std::vector<std::int64_t> load(kCtas, 0);
    for (std::size_t part = 0; part < parts.size(); ++part) {
        load[owner[part]] += parts[part];
    }
    double const total = static_cast<double>(std::accumulate(load.begin(), load.end(), 0LL));
    return static_cast<double>(*std::max_element(load.begin(), load.end())) * kCtas / total;
}

TEST(AttentionSchedule, FillsTheGpuWithEqualTiles) {
    for (std::int64_t const count : {1, 3, 8, 24, 64, 100, 132, 133, 200, 256, 1000, 2048}) {
        EXPECT_LT(imbalance(std::vector<std::int64_t>(count, 1024)), 1.07) << count;
    }
}

TEST(AttentionSchedule, CutsAsMeasuredBest) {
    std::vector<std::int64_t> const tiles64(64, 1024);
    std::vector<std::int64_t> const tiles24(24, 1024);
    EXPECT_EQ(choose_splits(tiles64, {kCtas, 8, 0}).front(), 2);
    EXPECT_EQ(choose_splits(tiles24, {kCtas, 8, 0}).front(), 11);
}

TEST(AttentionSchedule, FillsTheGpuWithMixedTiles) {
    std::mt19937_64 random(1);
    for (int trial = 0; trial < 50; ++trial) {
        std::vector<std::int64_t> lengths(std::uniform_int_distribution<>(20, 600)(random));
        for (std::int64_t& length : lengths) {
            length = std::uniform_int_distribution<>(300, trial % 2 == 0 ? 400 : 8192)(random);
        }
        EXPECT_LT(imbalance(lengths), 1.25) << "trial " << trial << ", tiles " << lengths.size();
    }
}

TEST(AttentionSchedule, KeepsPartsLongEnough) {
    for (std::int64_t const length : {1, 7, 8, 16, 17, 100}) {
        std::vector<std::int64_t> const lengths(3, length);
        for (std::int64_t const parts : choose_splits(lengths, {kCtas, 8, 0})) {
            EXPECT_LE(parts, std::max<std::int64_t>(1, length / 8));
        }
    }
}

TEST(AttentionSchedule, CutsAtFixedLengthsWhereAsked) {
    std::vector<std::int64_t> const lengths{1, 64, 65, 200};
    std::vector<std::int32_t> const expected{1, 1, 2, 4};
    EXPECT_EQ(choose_splits(lengths, {kCtas, 8, 64}), expected);
}

TEST(AttentionSchedule, TakesAnEmptyList) {
    EXPECT_TRUE(choose_splits({}, {kCtas, 8, 0}).empty());
    EXPECT_TRUE(longest_first({}).empty());
    EXPECT_TRUE(deal_out({}, {}, 1).empty());
}

}  // namespace
}  // namespace longhaul::kernels::cuda
