#include "kernels/logits.hpp"

#include "kernels/dense/dense_support.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace longhaul::kernels::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Rows that each ask for something else; `first` shifts the tokens.
std::vector<LogitQuery> queries_for(std::int64_t rows, Range vocab) {
    std::vector<LogitQuery> queries(static_cast<std::size_t>(rows));
    for (std::size_t i = 0; i < queries.size(); ++i) {
        LogitQuery& query = queries[i];
        query.target =
            static_cast<TokenId>(vocab.begin + static_cast<std::int64_t>(i * 7919) %
                                                   std::max<std::int64_t>(1, vocab.size()));
        query.top_k = static_cast<std::int32_t>((i % 4) * 3);
        query.sample = i % 3 != 0;
        query.temperature = i % 3 == 1 ? 0.0F : 0.7F;
        query.noise_seed = 99;
        query.noise_key = 0x123456789abcdefU + i;
        query.noise_choice = static_cast<std::uint32_t>(i);
        query.noise_index = static_cast<std::int64_t>(i) << 33;
    }
    return queries;
}

std::vector<LogitSummary> summarize(ExecContext const& exec, std::vector<float> const& logits,
                                    Range vocab, std::vector<LogitQuery> const& queries) {
    std::vector<LogitSummary> summaries(queries.size());
    summarize_logits(exec, logits.data(), vocab, queries, summaries);
    return summaries;
}

void expect_equal(LogitSummary const& got, LogitSummary const& expected, double tolerance) {
    EXPECT_EQ(got.finite, expected.finite);
    EXPECT_EQ(got.max, expected.max);
    EXPECT_NEAR(got.sum_exp, expected.sum_exp, tolerance * expected.sum_exp);
    EXPECT_EQ(got.has_target, expected.has_target);
    EXPECT_EQ(got.target_logit, expected.target_logit);
    EXPECT_EQ(got.chosen.id, expected.chosen.id);
    EXPECT_EQ(got.chosen.logit, expected.chosen.logit);
    EXPECT_EQ(got.chosen_score, expected.chosen_score);
    ASSERT_EQ(got.top.size(), expected.top.size());
    for (std::size_t i = 0; i < got.top.size(); ++i) {
        EXPECT_EQ(got.top[i].id, expected.top[i].id);
        EXPECT_EQ(got.top[i].logit, expected.top[i].logit);
    }
}

TEST(SummarizeLogits, IsEquivalentToReference) {
    for (Range const vocab : {Range{0, 1}, Range{5, 12}, Range{0, 33}, Range{100, 1123},
                              Range{0, 4096}, Range{3, 12345}, Range{0, 49152}}) {
        std::int64_t const rows = vocab.size() > 10000 ? 3 : 9;
        std::vector<float> logits = random_floats(rows * vocab.size(), 51, 4.0F);
        for (float& logit : logits) {
            logit = std::round(logit * 64.0F) / 64.0F;
        }  // ties
        std::vector<LogitQuery> const queries = queries_for(rows, vocab);
        std::vector<LogitSummary> const expected =
            summarize(reference_context(), logits, vocab, queries);
        for (Isa const isa : available_isas()) {
            std::vector<LogitSummary> const one =
                summarize(cpu_context(isa, 1), logits, vocab, queries);
            for (std::size_t i = 0; i < queries.size(); ++i) {
                expect_equal(one[i], expected[i], 3e-7);
            }
            for (int const threads : {2, 5, 16}) {
                std::vector<LogitSummary> const many =
                    summarize(cpu_context(isa, threads), logits, vocab, queries);
                for (std::size_t i = 0; i < queries.size(); ++i) {
                    expect_equal(many[i], one[i], 0.0);
                }
            }
        }
    }
}

TEST(MergeSummaries, AnySplitOfTheVocabularyGivesTheWhole) {
    std::mt19937 random(61);
    Range const vocab{0, 9001};
    std::vector<float> logits = random_floats(vocab.size(), 62, 3.0F);
    for (float& logit : logits) {
        logit = std::round(logit * 8.0F) / 8.0F;
    }
    for (int round = 0; round < 20; ++round) {
        LogitQuery query;
        query.target = static_cast<TokenId>(random() % 9001);
        query.top_k = static_cast<std::int32_t>(random() % 40);
        query.sample = true;
        query.temperature = round % 2 == 0 ? 0.0F : 1.3F;
        query.noise_key = random();
        std::vector<LogitQuery> const queries = {query};
        ExecContext const exec = cpu_context(detect_isa(), 1 + round % 3);
        LogitSummary const whole = summarize(exec, logits, vocab, queries)[0];

        std::vector<std::int64_t> cuts = {0, vocab.end};
        for (int i = 0; i < 5; ++i) {
            cuts.push_back(static_cast<std::int64_t>(random() % 9001));
        }
        cuts.push_back(cuts.back());  // an empty slice
        std::sort(cuts.begin(), cuts.end());
        LogitSummary merged;
        for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
            std::vector<float> const part(logits.begin() + cuts[i], logits.begin() + cuts[i + 1]);
            merge_summaries(merged, summarize(exec, part, {cuts[i], cuts[i + 1]}, queries)[0],
                            query);
        }
        expect_equal(merged, whole, 3e-7);
        EXPECT_NEAR(merged.log_sum_exp(), whole.log_sum_exp(), 1e-6);
    }
}

TEST(SummarizeLogits, TopIsExactAndTiesGoToSmallerIds) {
    std::vector<float> const logits = {1.0F, 3.0F, 3.0F, -1.0F, 3.0F, 2.0F};
    LogitQuery query;
    query.top_k = 4;
    query.sample = true;
    for (ExecContext const& exec : {reference_context(), cpu_context(detect_isa())}) {
        LogitSummary const summary = summarize(exec, logits, {10, 16}, {query})[0];
        std::vector<TokenId> ids;
        for (ScoredToken const& token : summary.top) {
            ids.push_back(token.id);
        }
        EXPECT_EQ(ids, (std::vector<TokenId>{11, 12, 14, 15}));
        EXPECT_EQ(summary.chosen.id, 11);
        EXPECT_EQ(summary.chosen_score, 3.0);
        query.top_k = 100;
        EXPECT_EQ(summarize(exec, logits, {10, 16}, {query})[0].top.size(), 6U);
        query.top_k = 4;
    }
}

TEST(SummarizeLogits, FindsEveryNonFiniteLogit) {
    for (std::int64_t const size : {1, 17, 5000}) {
        std::vector<float> const good = random_floats(size, 71);
        for (float const bad : {kInfinity, -kInfinity, NAN}) {
            for (std::int64_t const place : {std::int64_t{0}, size / 2, size - 1}) {
                std::vector<float> logits = good;
                logits[static_cast<std::size_t>(place)] = bad;
                std::vector<LogitQuery> const queries = queries_for(1, {0, size});
                EXPECT_FALSE(summarize(reference_context(), logits, {0, size}, queries)[0].finite);
                for (Isa const isa : available_isas()) {
                    EXPECT_FALSE(summarize(cpu_context(isa), logits, {0, size}, queries)[0].finite);
                }
            }
        }
        for (Isa const isa : available_isas()) {
            EXPECT_TRUE(
                summarize(cpu_context(isa), good, {0, size}, queries_for(1, {0, size}))[0].finite);
        }
    }
}

TEST(SummarizeLogits, EmptySliceAndWideRange) {
    for (ExecContext const& exec : {reference_context(), cpu_context(detect_isa())}) {
        LogitQuery query;
        query.sample = true;
        query.top_k = 3;
        LogitSummary const empty = summarize(exec, {}, {7, 7}, {query})[0];
        EXPECT_EQ(empty.max, -std::numeric_limits<double>::infinity());
        EXPECT_EQ(empty.log_sum_exp(), -std::numeric_limits<double>::infinity());
        EXPECT_EQ(empty.chosen.id, -1);
        EXPECT_TRUE(empty.top.empty());
        EXPECT_TRUE(empty.finite);

        std::vector<float> const wide = {-3e38F, 3e38F, 0.0F};
        LogitSummary const summary = summarize(exec, wide, {0, 3}, {query})[0];
        EXPECT_TRUE(summary.finite);
        EXPECT_DOUBLE_EQ(summary.sum_exp, 1.0);
        EXPECT_EQ(summary.chosen.id, 1);
    }
}

}  // namespace
}  // namespace longhaul::kernels::test
