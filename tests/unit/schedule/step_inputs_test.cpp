#include "schedule/step_inputs.hpp"

#include <gtest/gtest.h>

namespace longhaul::schedule {
namespace {

TEST(StepInputs, SurvivesTheWire) {
    StepInputs inputs;
    inputs.step = 12345678901;
    inputs.leader_time_s = 1.5;
    inputs.end = true;
    inputs.tokens.push_back({3, 17, 99, EndReason::stop});
    inputs.ended.push_back({4, EndReason::failed});
    SequenceSpec spec;
    spec.id = 5;
    spec.prompt = {1, 2, 3};
    spec.cut = 64;
    spec.max_new_tokens = 7;
    spec.score = true;
    spec.prefix_keys = {{1, 2}, {3, 4}};
    spec.placement_hash = 8;
    spec.temperature = 0.25;
    spec.seed = 9;
    spec.noise_key = 10;
    spec.top_logprobs = 11;
    spec.embeddings = {{1, 2, "/data/v.h5", 3, 4, 5, 6, 7}, {9, 1, "", 0, 0, 0, 0, 0}};
    inputs.admissions = {spec, spec};

    StepInputs const copy = StepInputs::deserialize(inputs.serialize());

    EXPECT_EQ(copy.step, inputs.step);
    EXPECT_EQ(copy.leader_time_s, 1.5);
    EXPECT_TRUE(copy.end);
    ASSERT_EQ(copy.tokens.size(), 1U);
    EXPECT_EQ(copy.tokens[0].token, 99);
    EXPECT_EQ(copy.tokens[0].end, EndReason::stop);
    ASSERT_EQ(copy.ended.size(), 1U);
    EXPECT_EQ(copy.ended[0].end, EndReason::failed);
    ASSERT_EQ(copy.admissions.size(), 2U);
    SequenceSpec const& got = copy.admissions[1];
    EXPECT_EQ(got.prompt, spec.prompt);
    EXPECT_EQ(got.cut, 64);
    EXPECT_EQ(got.max_new_tokens, 7);
    EXPECT_TRUE(got.score);
    EXPECT_EQ(got.prefix_keys, spec.prefix_keys);
    EXPECT_EQ(got.placement_hash, 8U);
    EXPECT_EQ(got.temperature, 0.25);
    EXPECT_EQ(got.seed, 9U);
    EXPECT_EQ(got.noise_key, 10U);
    EXPECT_EQ(got.top_logprobs, 11);
    EXPECT_EQ(got.embeddings, spec.embeddings);
}

TEST(StepInputsDeathTest, ACutOffRecordIsABrokenContract) {
    StepInputs inputs;
    inputs.tokens.push_back({});
    std::vector<std::byte> bytes = inputs.serialize();
    bytes.pop_back();
    EXPECT_DEATH(static_cast<void>(StepInputs::deserialize(bytes)), "broken precondition");
}

}  // namespace
}  // namespace longhaul::schedule
