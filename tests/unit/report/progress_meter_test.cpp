#include "report/progress_meter.hpp"

#include <gmock/gmock.h>

#include <random>

namespace longhaul::report {
namespace {

using testing::DoubleNear;
using testing::Optional;

ProgressCounters counters_of(std::int64_t total, std::int64_t started, std::int64_t done) {
    ProgressCounters counters;
    counters.jobs_total = total;
    counters.jobs_started = started;
    counters.jobs_done = done;
    return counters;
}

TEST(ProgressMeter, KnowsNothingAtTheStart) {
    ProgressMeter meter;
    ProgressCounters counters = counters_of(10, 0, 0);
    counters.phase = std::string("loading");
    meter.update(counters, 5);
    EXPECT_EQ(meter.tokens_per_s(), 0);
    EXPECT_EQ(meter.fraction(), 0);
    EXPECT_FALSE(meter.eta_s());
    EXPECT_EQ(meter.line(), "jobs 0/10 | loading | 0 + 0 tokens | 0 tok/s | 0%");
}

TEST(ProgressMeter, ShowsEverythingInTheMiddle) {
    ProgressMeter meter;
    ProgressCounters counters = counters_of(12, 5, 0);
    counters.jobs_skipped = 2;
    counters.phase = std::string("prefill");
    counters.prompt_tokens_expected = 10000;
    counters.generated_tokens_expected = 2000;
    meter.update(counters, 0);
    counters.jobs_done = 1;
    counters.jobs_failed = 1;
    counters.prompt_tokens_done = 5000;
    counters.generated_tokens = 1000;
    meter.update(counters, 5);
    EXPECT_EQ(meter.tokens_per_s(), 1200);
    EXPECT_THAT(meter.fraction(), Optional(DoubleNear(0.25, 1e-12)));  // half of 5 jobs of 10
    EXPECT_THAT(meter.eta_s(), Optional(DoubleNear(15, 1e-9)));
    EXPECT_EQ(meter.line(),
              "jobs 4/12 (1 failed, 2 skipped) | prefill | 5.0k + 1.0k tokens | 1.2k tok/s | 25% | "
              "ETA 0:15");
}

TEST(ProgressMeter, APipeHasNoEnd) {
    ProgressMeter meter;
    ProgressCounters counters;
    counters.jobs_started = counters.jobs_done = 3;
    counters.jobs_failed = 1;
    meter.update(counters, 0);
    counters.prompt_tokens_done = 100;
    meter.update(counters, 1);
    EXPECT_FALSE(meter.fraction());
    EXPECT_FALSE(meter.eta_s());
    EXPECT_EQ(meter.line(), "jobs 4 (1 failed) | 100 + 0 tokens | 100 tok/s");
}

TEST(ProgressMeter, EndsAtHundredPercentAndOnlyThere) {
    ProgressMeter meter;
    ProgressCounters counters = counters_of(3, 3, 2);
    counters.prompt_tokens_expected = counters.prompt_tokens_done = 1000;
    meter.update(counters, 0);
    EXPECT_THAT(meter.line(), testing::HasSubstr("99%"));
    counters.jobs_failed = 1;
    meter.update(counters, 1);
    EXPECT_THAT(meter.line(), testing::HasSubstr("100% | ETA 0:00"));
    ProgressMeter all_skipped;
    counters = counters_of(3, 0, 0);
    counters.jobs_skipped = 3;
    all_skipped.update(counters, 0);
    EXPECT_EQ(all_skipped.fraction(), 1.0);
}

TEST(ProgressMeter, RateIsThatOfTheWindow) {
    ProgressMeter meter(10, 100);
    ProgressCounters counters = counters_of(1, 1, 0);
    for (int second = 0; second <= 300; ++second) {
        meter.update(counters, second);
        counters.prompt_tokens_done += second < 150 ? 1000 : 7;
        if (second == 150) {
            EXPECT_EQ(meter.tokens_per_s(), 1000);
        }
        if (second == 155) {
            EXPECT_NEAR(meter.tokens_per_s(), (5 * 1000 + 5 * 7) / 10.0, 1e-9);
        }
    }
    EXPECT_EQ(meter.tokens_per_s(), 7);
    meter.update(counters, 1000);  // nothing was heard for long: the gap counts as a whole
    EXPECT_NEAR(meter.tokens_per_s(), 7 / 700.0, 1e-9);
}

TEST(ProgressMeter, AStandstillHasNoEnd) {
    ProgressMeter meter(10, 20);
    ProgressCounters counters = counters_of(4, 4, 2);
    counters.prompt_tokens_expected = 4;
    counters.prompt_tokens_done = 2;
    for (int second = 0; second < 60; ++second) meter.update(counters, second);
    EXPECT_FALSE(meter.eta_s());
    EXPECT_EQ(meter.tokens_per_s(), 0);
}

// The pace of the updates must not change what is shown, and nothing shown may leave its range.
TEST(ProgressMeter, AnyPaceGivesTheSameRate) {
    constexpr unsigned kSeed = 3;
    RecordProperty("seed", kSeed);
    std::mt19937 random(kSeed);
    for (double const pace : {0.01, 0.1, 0.9, 2.5}) {
        ProgressMeter meter;
        ProgressCounters counters = counters_of(20, 0, 0);
        std::uniform_real_distribution<double> step(pace / 2, pace);
        double now = 0;
        for (; now < 50; now += step(random)) {
            counters.jobs_started =
                std::min<std::int64_t>(20, 1 + static_cast<std::int64_t>(now / 4));
            counters.prompt_tokens_expected = 400 * counters.jobs_started;
            counters.prompt_tokens_done = static_cast<std::int64_t>(100 * now);
            meter.update(counters, now);
            ASSERT_GE(*meter.fraction(), 0);
            ASSERT_LE(*meter.fraction(), 1);
            ASSERT_GE(meter.eta_s().value_or(0), 0);
        }
        EXPECT_NEAR(meter.tokens_per_s(), 100, 2) << pace;
        EXPECT_NEAR(*meter.fraction(), now / 80, 0.05) << pace;
        EXPECT_NEAR(*meter.eta_s(), 30, 6) << pace;
    }
}

}  // namespace
}  // namespace longhaul::report
