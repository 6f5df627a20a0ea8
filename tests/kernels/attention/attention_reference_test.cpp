#include "kernels/attention/attention_case.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <iterator>
#include <limits>

namespace longhaul::kernels::test {
namespace {

/// One row, one head of 8 dims; key 0 of every slot is the score (scale is 1/sqrt(8)), value d is slot + d.
AttentionCase scored_case(DType dtype, std::vector<float> const& scores) {
    CaseShape shape{
        .dtype = dtype, .block_slots = 16, .key_dim = 8, .value_dim = 8, .pool_blocks = 2};
    AttentionCase result(shape, 1);
    for (std::int64_t dim = 0; dim < 8; ++dim) {
        result.set_query(0, 0, dim, dim == 0 ? 1.0F : 0.0F);
    }
    for (std::int64_t slot = 0; slot < std::ssize(scores); ++slot) {
        result.set_key(slot / 16, 0, slot % 16, 0, scores[slot]);
        for (std::int64_t dim = 0; dim < 8; ++dim) {
            result.set_value(slot / 16, 0, slot % 16, dim, static_cast<float>(slot + dim));
        }
    }
    return result;
}

class AttentionReference : public ::testing::TestWithParam<DType> {};

TEST_P(AttentionReference, EqualScoresGiveTheMeanOfTheValues) {
    AttentionCase attention = scored_case(GetParam(), std::vector<float>(32, 2.0F));
    attention.add_item({0}, {{0, 2, 0, 16}}, 0, 32);
    AttentionResult const result = attention.run_reference();
    for (std::int64_t dim = 0; dim < 8; ++dim) {
        EXPECT_NEAR(result.out[dim], 15.5 + static_cast<double>(dim), 1e-5);
    }
    EXPECT_NEAR(result.lse[0], 2.0 / std::sqrt(8.0) + std::log(32.0), 1e-5);
}

TEST_P(AttentionReference, WeightsAreExponentialsOfScaledScores) {
    // Slots 3 and 4 alone, scores differing by sqrt(8) ln 3 before scaling: weights 1/4 and 3/4.
    std::vector<float> scores(32, 50.0F);
    float const gap = GetParam() == DType::f32 ? std::sqrt(8.0F) * std::log(3.0F) : 3.109375F;
    scores[3] = 1.0F;
    scores[4] = 1.0F + gap;
    AttentionCase attention = scored_case(GetParam(), scores);
    attention.add_item({0}, {{0, 2, 0, 16}}, 3, 5);
    double const tolerance = GetParam() == DType::f32 ? 1e-5 : 1e-2;  // the gap itself is rounded
    AttentionResult const result = attention.run_reference();
    EXPECT_NEAR(result.out[0], 3.75, tolerance);
    EXPECT_NEAR(result.lse[0], 1.0 / std::sqrt(8.0) + std::log(4.0), tolerance);
}

TEST_P(AttentionReference, StridedExtentsCountGlobalSlots) {
    // Two blocks that hold slots [32, 48) and [96, 112); the row sees up to slot 97.
    AttentionCase attention = scored_case(GetParam(), std::vector<float>(32, 0.0F));
    attention.add_item({0}, {{0, 2, 32, 64}}, 47, 1000, {98});
    AttentionResult const result = attention.run_reference();
    EXPECT_NEAR(result.out[0], (15.0 + 16.0 + 17.0) / 3, 1e-5);
    EXPECT_NEAR(result.lse[0], std::log(3.0), 1e-5);
}

TEST_P(AttentionReference, ARowInSeveralItemsMergesThem) {
    AttentionCase attention = scored_case(GetParam(), std::vector<float>(32, 0.0F));
    attention.add_item({0}, {{0, 1, 0, 16}}, 0, 16);
    attention.add_item({0}, {{1, 1, 16, 16}}, 0, 32, {18});
    EXPECT_NEAR(attention.run_reference().out[0], 8.5, 1e-5);
}

TEST_P(AttentionReference, ARowThatSeesNothingGivesZeros) {
    AttentionCase attention = scored_case(GetParam(), std::vector<float>(32, 0.0F));
    attention.add_item({0}, {{0, 2, 0, 16}}, 0, 32, {0});
    AttentionResult const result = attention.run_reference();
    EXPECT_EQ(result.out[0], 0.0F);
    EXPECT_EQ(result.lse[0], -std::numeric_limits<float>::infinity());
}

INSTANTIATE_TEST_SUITE_P(Types, AttentionReference, ::testing::Values(DType::f32, DType::bf16),
                         [](auto const& test) { return dtype_name(test.param); });

}  // namespace
}  // namespace longhaul::kernels::test
