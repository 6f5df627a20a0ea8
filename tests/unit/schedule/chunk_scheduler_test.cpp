#include "schedule/chunk_scheduler.hpp"

#include <gtest/gtest.h>

#include <map>
#include <utility>
#include <vector>

namespace longhaul::schedule {
namespace {

ChunkScheduler::Options options(std::int64_t chunk, std::int64_t max_batch,
                                std::int64_t capacity = 1000) {
    ChunkScheduler::Options result;
    result.chunk = chunk;
    result.max_batch = max_batch;
    result.kv = {64, KvPolicy::striped, 8, {capacity}};
    return result;
}

SequenceSpec spec(SequenceId id, std::int64_t prompt_length, std::int64_t cut,
                  std::uint64_t document = 0, std::int64_t max_new_tokens = 4) {
    SequenceSpec result;
    result.id = id;
    result.prompt.assign(static_cast<std::size_t>(prompt_length), 1);
    result.cut = cut;
    result.max_new_tokens = max_new_tokens;
    for (std::int64_t b = 0; b < cut / 64; ++b) {
        result.prefix_keys.push_back({document * 1000 + static_cast<std::uint64_t>(b), document});
    }
    return result;
}

StepInputs admissions(StepIndex step, std::vector<SequenceSpec> specs) {
    StepInputs inputs;
    inputs.step = step;
    inputs.admissions = std::move(specs);
    return inputs;
}

using Chunks = std::vector<std::pair<std::int64_t, std::int64_t>>;

// Chunks of one sequence over as many steps as it takes.
Chunks chunks_of(ChunkScheduler& scheduler, SequenceId id, int steps) {
    Chunks chunks;
    for (StepIndex step = 0; step < steps; ++step) {
        for (PlanItem const& item : scheduler.plan(step).items) {
            if (item.sequence == id && !item.decode) {
                chunks.emplace_back(item.begin, item.end);
            }
        }
    }
    return chunks;
}

TEST(ChunkScheduler, ChunksEndAtTheCutAndCountFromThereOn) {
    ChunkScheduler scheduler(options(100, 4));
    scheduler.apply(admissions(0, {spec(0, 400, 192)}));

    EXPECT_EQ(chunks_of(scheduler, 0, 6),
              (Chunks{{0, 100}, {100, 192}, {192, 292}, {292, 392}, {392, 400}}));
}

TEST(ChunkScheduler, ChunkBoundariesDoNotDependOnCompanyOrSharing) {
    ChunkScheduler alone(options(100, 8));
    alone.apply(admissions(0, {spec(5, 400, 192, 9)}));
    Chunks const expected = chunks_of(alone, 5, 10);

    ChunkScheduler company(options(100, 8));
    company.apply(
        admissions(0, {spec(0, 130, 64, 1), spec(1, 57, 0), spec(5, 400, 192, 9), spec(6, 90, 0)}));
    EXPECT_EQ(chunks_of(company, 5, 30), expected);

    ChunkScheduler sharing(options(100, 8));
    sharing.apply(admissions(0, {spec(4, 300, 192, 9), spec(5, 400, 192, 9)}));
    Chunks const shared = chunks_of(sharing, 5, 30);
    EXPECT_EQ(shared, Chunks(expected.begin() + 2, expected.end()));  // from the cut on
}

TEST(ChunkScheduler, ASharerWaitsForTheFiller) {
    ChunkScheduler scheduler(options(64, 8));
    scheduler.apply(admissions(0, {spec(0, 300, 256, 3), spec(1, 300, 256, 3)}));

    for (StepIndex step = 0; step < 3; ++step) {
        StepPlan const plan = scheduler.plan(step);
        ASSERT_EQ(plan.items.size(), 1U);
        EXPECT_EQ(plan.items[0].sequence, 0);
    }
}

TEST(ChunkScheduler, ASharerTakesOverFromAFailedFiller) {
    ChunkScheduler scheduler(options(64, 8));
    scheduler.apply(admissions(0, {spec(0, 300, 256, 3), spec(1, 300, 256, 3)}));
    static_cast<void>(scheduler.plan(0));
    static_cast<void>(scheduler.plan(1));
    StepInputs failed;
    failed.ended.push_back({0, EndReason::failed});
    scheduler.apply(failed);

    StepPlan const plan = scheduler.plan(2);

    EXPECT_EQ(plan.retired, (std::vector<SequenceId>{0}));
    EXPECT_FALSE(plan.scrub.empty());
    ASSERT_EQ(plan.items.size(), 1U);
    EXPECT_EQ(plan.items[0].sequence, 1);
    EXPECT_EQ(plan.items[0].begin, 128);
}

TEST(ChunkScheduler, DecodesComeFirstAndOnlyWhenTheirTokenIsKnown) {
    ChunkScheduler scheduler(options(64, 8));
    scheduler.apply(admissions(0, {spec(0, 10, 0), spec(1, 500, 0)}));
    StepPlan const first = scheduler.plan(0);
    ASSERT_EQ(first.items.size(),
              1U);  // 10 rows, then the next chunk of 64 does not fit the budget whole
    EXPECT_TRUE(first.items[0].sample);
    StepPlan const second = scheduler.plan(1);
    ASSERT_EQ(second.items.size(), 1U);
    EXPECT_EQ(second.items[0].sequence, 1);

    StepInputs inputs;
    inputs.tokens.push_back({0, 10, 42, EndReason::none});
    scheduler.apply(inputs);
    StepPlan const third = scheduler.plan(2);

    ASSERT_EQ(third.items.size(), 2U);
    EXPECT_TRUE(third.items[0].decode);
    EXPECT_EQ(third.items[0].begin, 10);
    EXPECT_EQ(scheduler.sequence(0).token_at(10), 42);
    EXPECT_FALSE(third.items[1].decode);
    StepPlan const fourth = scheduler.plan(3);  // its token is not known yet
    ASSERT_EQ(fourth.items.size(), 1U);
    EXPECT_EQ(fourth.items[0].sequence, 1);
}

TEST(ChunkScheduler, AnEndedSequenceMakesRoomForAWaitingOne) {
    ChunkScheduler scheduler(options(64, 8, 2));
    scheduler.apply(admissions(0, {spec(0, 100, 0), spec(1, 100, 0)}));
    static_cast<void>(scheduler.plan(0));
    static_cast<void>(scheduler.plan(1));
    EXPECT_EQ(scheduler.num_running(), 1U);
    StepInputs inputs;
    inputs.tokens.push_back({0, 100, 2, EndReason::stop});
    scheduler.apply(inputs);

    StepPlan const plan = scheduler.plan(2);

    ASSERT_EQ(plan.items.size(), 1U);
    EXPECT_EQ(plan.items[0].sequence, 1);
    EXPECT_TRUE(plan.scrub.empty());
}

TEST(ChunkScheduler, ScoreNeverTakesOverAPrefix) {
    ChunkScheduler scheduler(options(64, 8));
    SequenceSpec score = spec(1, 200, 128, 3, 0);
    score.score = true;
    scheduler.apply(admissions(0, {spec(0, 200, 128, 3), score}));

    Chunks const chunks = chunks_of(scheduler, 1, 20);

    ASSERT_FALSE(chunks.empty());
    EXPECT_EQ(chunks.front().first, 0);
    EXPECT_EQ(chunks.back().second, 200);
}

}  // namespace
}  // namespace longhaul::schedule
