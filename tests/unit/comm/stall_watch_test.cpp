#include "comm/stall_watch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace longhaul::comm {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr auto kDeadline = 25s;

/// A group whose clock and reports are the test's.
class StallWatchTest : public ::testing::Test {
  protected:
    /// Rounds of the same reports, one every second, each looked at ten times. The first reason to give up, if any.
    std::optional<std::string> live(int seconds, std::vector<RankProgress> const& ranks) {
        for (int second = 0; second < seconds; ++second) {
            watch_.round(ranks);
            if (auto reason = wait(1)) {
                return reason;
            }
        }
        return std::nullopt;
    }
    /// Time without a round.
    std::optional<std::string> wait(int seconds) {
        for (int tenth = 0; tenth < 10 * seconds; ++tenth) {
            now_ += 100ms;
            if (auto reason = watch_.check(now_)) {
                return reason;
            }
        }
        return std::nullopt;
    }

    StallWatch::Clock::time_point now_{1000s};
    StallWatch watch_{kDeadline, now_};
};

RankProgress waiting(std::int64_t ended) { return {.ended = ended, .pending = 1}; }
RankProgress idle(std::int64_t ended) { return {.ended = ended, .pending = 0}; }

TEST_F(StallWatchTest, AnIdleGroupMayWaitForEver) { EXPECT_FALSE(live(1000, {idle(5), idle(5)})); }

TEST_F(StallWatchTest, SilenceIsALostRank) {
    EXPECT_FALSE(live(3, {idle(0), idle(0)}));
    EXPECT_FALSE(wait(23));
    auto const reason = wait(3);
    ASSERT_TRUE(reason);
    EXPECT_THAT(*reason, HasSubstr("not been heard of for 25 s"));
}

TEST_F(StallWatchTest, GpusThatAllWaitStandStill) {
    auto const reason = live(30, {idle(7), waiting(7), waiting(6)});
    ASSERT_TRUE(reason);
    EXPECT_THAT(*reason, HasSubstr("nothing has ended for 25 s"));
    EXPECT_THAT(*reason, HasSubstr("ranks 1, 2 wait"));
}

TEST_F(StallWatchTest, TheDeadlineBeginsWithTheFirstRoundWithoutMovement) {
    EXPECT_FALSE(live(25, {waiting(1), waiting(1)}));  // the first round moves from 0 to 1
    EXPECT_TRUE(live(2, {waiting(1), waiting(1)}));
}

TEST_F(StallWatchTest, OneRankThatMovesIsEnough) {
    for (int round = 0; round < 20; ++round) {
        ASSERT_FALSE(live(20, {waiting(7), waiting(round)})) << "round " << round;
    }
}

TEST_F(StallWatchTest, ARankThatWritesToADiskIsWaitedFor) {
    RankProgress const away{.ended = 4, .pending = 0, .active = 0};
    EXPECT_FALSE(live(1000, {waiting(4), away}));
    EXPECT_TRUE(live(27, {waiting(4), idle(4)}));  // it is back and the others still wait
}

TEST_F(StallWatchTest, ARankThatWaitsForItsGpuIsNoExcuse) {
    EXPECT_TRUE(live(30, {waiting(4), {.ended = 4, .pending = 1, .active = 0}}));
}

TEST_F(StallWatchTest, TimeInWhichThisProcessWasStoppedDoesNotCount) {
    EXPECT_FALSE(live(3, {waiting(1), waiting(1)}));
    now_ += 3600s;
    EXPECT_FALSE(watch_.check(now_));
    EXPECT_FALSE(wait(10));
}

TEST_F(StallWatchTest, LeavesWithTheLast) {
    std::vector<RankProgress> ranks{idle(1), idle(1)};
    ranks[0].leaving = 1;
    watch_.round(ranks);
    EXPECT_FALSE(watch_.all_leaving());
    ranks[1].leaving = 1;
    watch_.round(ranks);
    EXPECT_TRUE(watch_.all_leaving());
}

}  // namespace
}  // namespace longhaul::comm
