// Sequences that are loaded from what an earlier run saved.

#include "schedule/chunk_scheduler.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace longhaul::schedule {
namespace {

constexpr std::int64_t kBlock = 64;

ChunkScheduler make_scheduler(std::int64_t chunk = 100) {
    ChunkScheduler::Options options;
    options.chunk = chunk;
    options.max_batch = 8;
    options.kv = {kBlock, KvPolicy::striped, 8, {1000}};
    return ChunkScheduler(options);
}

SequenceSpec spec(SequenceId id, std::int64_t prompt_length, std::int64_t load,
                  std::vector<TokenId> resumed = {}, std::int64_t cut = 0) {
    SequenceSpec result;
    result.id = id;
    result.prompt.assign(static_cast<std::size_t>(prompt_length), 1);
    result.cut = cut;
    result.max_new_tokens = 10;
    result.load_entries = load;
    result.resumed = std::move(resumed);
    for (std::int64_t block = 0; block < cut / kBlock; ++block) {
        result.prefix_keys.push_back({static_cast<std::uint64_t>(block), 5});
    }
    return result;
}

StepInputs admit(std::vector<SequenceSpec> specs) {
    StepInputs inputs;
    inputs.admissions = std::move(specs);
    return inputs;
}

StepInputs loaded(SequenceId id, std::int64_t entries) {
    StepInputs inputs;
    inputs.loaded.push_back({id, entries});
    return inputs;
}

TEST(ChunkSchedulerLoad, WaitsForTheLoadAndGoesOnBehindIt) {
    ChunkScheduler scheduler = make_scheduler();
    scheduler.apply(admit({spec(0, 400, 250)}));
    StepPlan plan = scheduler.plan(0);
    EXPECT_TRUE(plan.empty());
    EXPECT_EQ(plan.loads, std::vector<SequenceId>{0});
    plan = scheduler.plan(1);
    EXPECT_TRUE(plan.empty());
    EXPECT_TRUE(plan.loads.empty()) << "asked for once";

    scheduler.apply(loaded(0, 250));
    plan = scheduler.plan(2);
    ASSERT_EQ(plan.items.size(), 1U);
    EXPECT_EQ(plan.items[0].begin, 250);
    EXPECT_EQ(plan.items[0].end, 300) << "chunks end where they would have ended without a break";
}

TEST(ChunkSchedulerLoad, ASequenceInDecodeFeedsItsLastToken) {
    ChunkScheduler scheduler = make_scheduler();
    scheduler.apply(admit({spec(0, 90, 92, {7, 8, 9})}));
    EXPECT_TRUE(scheduler.plan(0).empty());
    scheduler.apply(loaded(0, 92));
    EXPECT_TRUE(scheduler.plan(1).empty()) << "its prompt is jumped over";
    StepPlan const plan = scheduler.plan(2);
    ASSERT_EQ(plan.items.size(), 1U);
    EXPECT_TRUE(plan.items[0].decode);
    EXPECT_EQ(plan.items[0].begin, 92);
    EXPECT_EQ(scheduler.sequence(0).token_at(92), 9);
}

TEST(ChunkSchedulerLoad, WhatCouldNotBeLoadedIsComputedAndItsTokensAreForgotten) {
    ChunkScheduler scheduler = make_scheduler();
    scheduler.apply(admit({spec(0, 150, 160, {7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17})}));
    static_cast<void>(scheduler.plan(0));
    scheduler.apply(loaded(0, 100));
    StepPlan const plan = scheduler.plan(1);
    ASSERT_EQ(plan.items.size(), 1U);
    EXPECT_EQ(plan.items[0].begin, 100);
    EXPECT_EQ(plan.items[0].end, 150);
    EXPECT_TRUE(plan.items[0].sample);
    EXPECT_TRUE(scheduler.sequence(0).generated.empty());
}

TEST(ChunkSchedulerLoad, DamageInTheGeneratedPartKeepsTheTokensBeforeIt) {
    ChunkScheduler scheduler = make_scheduler();
    scheduler.apply(admit({spec(0, 126, 130, {7, 8, 9, 10, 11})}));
    static_cast<void>(scheduler.plan(0));
    scheduler.apply(loaded(0, 128));
    EXPECT_EQ(scheduler.sequence(0).generated, (std::vector<TokenId>{7, 8, 9}));
    static_cast<void>(scheduler.plan(1));
    StepPlan const plan = scheduler.plan(2);
    ASSERT_EQ(plan.items.size(), 1U);
    EXPECT_EQ(plan.items[0].begin, 128);
}

// Two sequences saved on one document: the second one takes the blocks over, waits until they are loaded, and has loaded what
// is its own.
TEST(ChunkSchedulerLoad, ASharerWaitsForTheOneThatLoads) {
    ChunkScheduler scheduler = make_scheduler();
    scheduler.apply(admit({spec(0, 300, 256, {}, 256), spec(1, 300, 299, {}, 256)}));
    EXPECT_EQ(scheduler.plan(0).loads, (std::vector<SequenceId>{0, 1}));
    scheduler.apply(loaded(1, 299));
    EXPECT_TRUE(scheduler.plan(1).empty()) << "its document is not there yet";
    scheduler.apply(loaded(0, 256));
    StepPlan const plan = scheduler.plan(2);
    ASSERT_EQ(plan.items.size(), 2U);
    EXPECT_EQ(plan.items[0].begin, 256);
    EXPECT_EQ(plan.items[1].begin, 299);
}

TEST(ChunkSchedulerLoad, FlagsReachTheStepTheyAnnounce) {
    ChunkScheduler scheduler = make_scheduler();
    StepInputs inputs;
    inputs.epoch = true;
    scheduler.apply(inputs);
    StepPlan plan = scheduler.plan(1);
    EXPECT_TRUE(plan.epoch);
    EXPECT_FALSE(plan.last);
    inputs.stop = true;
    scheduler.apply(StepInputs::deserialize(inputs.serialize()));
    plan = scheduler.plan(2);
    EXPECT_TRUE(plan.epoch && plan.last);
    scheduler.apply({});
    EXPECT_FALSE(scheduler.plan(3).epoch);
}

}  // namespace
}  // namespace longhaul::schedule
