#include "comm/backoff.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace longhaul::comm {
namespace {

using std::chrono::microseconds;

TEST(Backoff, ARankOfACrowdedNodeDoesNotSpin) {
    EXPECT_EQ(backoff_policy(3, 2).spins, 0);
    EXPECT_GT(backoff_policy(2, 2).spins, 0);
    EXPECT_GT(backoff_policy(1, 1).spins, 0);
}

TEST(Backoff, SleepsBeginAfterSpinsAndYieldsAndGrowToTheLimit) {
    BackoffPolicy const policy{.spins = 3,
                               .yields = 2,
                               .first_sleep = microseconds(5),
                               .longest_sleep = microseconds(500)};
    EXPECT_EQ(sleep_length(policy, 0), microseconds(0));
    EXPECT_EQ(sleep_length(policy, 4), microseconds(0));
    EXPECT_EQ(sleep_length(policy, 5), microseconds(5));
    for (int round = 6; round < 60; ++round) {
        auto const before = sleep_length(policy, round - 1);
        auto const length = sleep_length(policy, round);
        EXPECT_TRUE(length > before || length == policy.longest_sleep) << round;
        EXPECT_LE(length, policy.longest_sleep);
        EXPECT_LE(length, before + before / 4 + microseconds(1));
    }
    EXPECT_EQ(sleep_length(policy, 1'000'000'000), policy.longest_sleep);
}

TEST(Backoff, APauseSleepsAboutAsLongAsItSays) {
    Backoff backoff({.spins = 0,
                     .yields = 0,
                     .first_sleep = microseconds(300),
                     .longest_sleep = microseconds(300)});
    auto const start = std::chrono::steady_clock::now();

    for (int i = 0; i < 5; ++i) {
        backoff.pause();
    }

    EXPECT_GE(std::chrono::steady_clock::now() - start, microseconds(1500));
}

}  // namespace
}  // namespace longhaul::comm
