#include "kernels/cuda/dense/cuda_support.hpp"
#include "kernels/logits.hpp"

#include <algorithm>
#include <limits>
#include <random>

namespace longhaul::kernels::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class LogitsCuda : public CudaTest {
  protected:
    [[nodiscard]] std::vector<LogitSummary> summarize(
        std::vector<float> const& logits, Range vocab,
        std::vector<LogitQuery> const& queries) const {
        device::Buffer const on_gpu = put(logits);
        std::vector<LogitSummary> summaries(queries.size());
        summarize_logits(exec(), on_gpu.as<float>(), vocab, queries, summaries);
        return summaries;
    }
    static std::vector<LogitSummary> reference(std::vector<float> const& logits, Range vocab,
                                               std::vector<LogitQuery> const& queries) {
        std::vector<LogitSummary> summaries(queries.size());
        summarize_logits(reference_context(), logits.data(), vocab, queries, summaries);
        return summaries;
    }

    /// Rows that each ask for something else.
    std::vector<LogitQuery> queries_for(std::int64_t rows, Range vocab) {
        std::mt19937_64 random(next_seed());
        std::vector<LogitQuery> queries(static_cast<std::size_t>(rows));
        for (std::size_t i = 0; i < queries.size(); ++i) {
            LogitQuery& query = queries[i];
            query.target =
                i % 5 == 4 ? -1
                           : static_cast<TokenId>(
                                 vocab.begin +
                                 static_cast<std::int64_t>(
                                     random() % (static_cast<std::uint64_t>(vocab.size()) + 3)));
            constexpr std::int32_t kTops[] = {0, 1, 5, 64, 1000, 1024, 1025, 3000};
            query.top_k = kTops[i % 8];
            query.sample = i % 3 != 0;
            query.temperature = i % 3 == 1 ? 0.0F : 0.7F;
            query.noise_seed = random();
            query.noise_key = random();
            query.noise_choice = static_cast<std::uint32_t>(random());
            query.noise_index = static_cast<std::int64_t>(random() >> 1);
        }
        return queries;
    }
};

void expect_equal(LogitSummary const& got, LogitSummary const& expected, double tolerance) {
    ASSERT_EQ(got.finite, expected.finite);
    if (!expected.finite) {
        return;
    }
    ASSERT_EQ(got.max, expected.max);
    ASSERT_NEAR(got.sum_exp, expected.sum_exp, tolerance * expected.sum_exp);
    ASSERT_EQ(got.has_target, expected.has_target);
    ASSERT_EQ(got.target_logit, expected.target_logit);
    ASSERT_EQ(got.chosen.id, expected.chosen.id);
    ASSERT_EQ(got.chosen.logit, expected.chosen.logit);
    ASSERT_EQ(got.chosen_score, expected.chosen_score);
    ASSERT_EQ(got.top.size(), expected.top.size());
    for (std::size_t i = 0; i < got.top.size(); ++i) {
        ASSERT_EQ(got.top[i].id, expected.top[i].id) << i << " of " << got.top.size();
        ASSERT_EQ(got.top[i].logit, expected.top[i].logit);
    }
}

TEST_F(LogitsCuda, MatchesReference) {
    for (Range const vocab :
         {Range{0, 1}, Range{5, 12}, Range{0, 33}, Range{100, 1123}, Range{0, 4096},
          Range{3, 12345}, Range{0, 49152}, Range{7, 131'080}}) {
        for (float const grain : {8.0F, 65536.0F}) {  // many ties, few ties
            std::int64_t const rows = vocab.size() > 10000 ? 6 : 17;
            std::vector<float> logits = random_floats(rows * vocab.size(), next_seed(), 4.0F);
            for (float& logit : logits) {
                logit = std::round(logit * grain) / grain;
            }
            std::vector<LogitQuery> const queries = queries_for(rows, vocab);
            std::vector<LogitSummary> const expected = reference(logits, vocab, queries);
            std::vector<LogitSummary> const got = summarize(logits, vocab, queries);
            for (std::size_t i = 0; i < queries.size(); ++i) {
                expect_equal(got[i], expected[i], 3e-7);
                if (HasFatalFailure()) {
                    FAIL() << "row " << i << " of vocabulary " << vocab.begin << " to "
                           << vocab.end;
                }
            }
            // Alone, a row gives the same bits.
            auto const begin = logits.begin() + 2 % rows * vocab.size();
            std::vector<LogitSummary> const alone =
                summarize({begin, begin + vocab.size()}, vocab, {queries[2 % queries.size()]});
            expect_equal(alone[0], got[2 % queries.size()], 0.0);
        }
    }
}

TEST_F(LogitsCuda, SamplesTheReferencesTokens) {
    Range const vocab{11, 3000};
    std::int64_t const rows = 300;
    std::vector<float> const logits = random_floats(rows * vocab.size(), next_seed(), 2.0F);
    std::vector<LogitQuery> queries = queries_for(rows, vocab);
    for (LogitQuery& query : queries) {
        query.sample = true;
        query.top_k = 0;
        query.temperature = 1.3F;
    }
    std::vector<LogitSummary> const expected = reference(logits, vocab, queries);
    std::vector<LogitSummary> const got = summarize(logits, vocab, queries);
    for (std::size_t i = 0; i < queries.size(); ++i) {
        expect_equal(got[i], expected[i], 3e-7);
    }
}

TEST_F(LogitsCuda, SignedZerosAndExtremes) {
    std::vector<float> const zeros{-0.0F, 0.0F, -0.0F, 0.0F, -1.0F, 0x1p-149F, -0x1p-149F};
    std::vector<float> const wide{-3e38F, 3e38F, 0.0F, 3e38F, -3e38F, 1.0F, -1.0F};
    for (std::vector<float> const& logits : {zeros, wide}) {
        for (float const temperature : {0.0F, 1.0F}) {
            LogitQuery query;
            query.sample = true;
            query.temperature = temperature;
            query.top_k = 7;
            query.target = 11;
            Range const vocab{10, 17};
            expect_equal(summarize(logits, vocab, {query})[0], reference(logits, vocab, {query})[0],
                         1e-7);
        }
    }
}

TEST_F(LogitsCuda, FindsEveryNonFiniteLogit) {
    for (std::int64_t const size : {1, 17, 5000, 40001}) {
        std::vector<float> const good = random_floats(3 * size, next_seed());
        for (float const bad : {kInfinity, -kInfinity, static_cast<float>(NAN)}) {
            for (std::int64_t const place : {std::int64_t{0}, size / 2, size - 1}) {
                std::vector<float> logits = good;
                logits[static_cast<std::size_t>(size + place)] = bad;
                std::vector<LogitQuery> const queries = queries_for(3, {0, size});
                std::vector<LogitSummary> const got = summarize(logits, {0, size}, queries);
                EXPECT_TRUE(got[0].finite);
                EXPECT_FALSE(got[1].finite) << size << ' ' << bad << ' ' << place;
                EXPECT_TRUE(got[2].finite);
            }
        }
    }
}

TEST_F(LogitsCuda, MoreRowsThanAGridHas) {
    Range const vocab{0, 5};
    std::int64_t const rows = 70'001;
    std::vector<float> const logits = random_floats(rows * vocab.size(), next_seed());
    std::vector<LogitQuery> queries = queries_for(rows, vocab);
    for (LogitQuery& query : queries) {
        query.top_k = 0;
    }
    std::vector<LogitSummary> const expected = reference(logits, vocab, queries);
    std::vector<LogitSummary> const got = summarize(logits, vocab, queries);
    for (std::size_t i = 0; i < queries.size(); ++i) {
        expect_equal(got[i], expected[i], 3e-7);
        if (HasFatalFailure()) {
            FAIL() << "row " << i;
        }
    }
}

TEST_F(LogitsCuda, EmptySliceAndNoQueries) {
    std::vector<LogitSummary> summaries(1);
    summarize_logits(exec(), nullptr, {7, 7}, std::vector<LogitQuery>(1), summaries);
    EXPECT_EQ(summaries[0].chosen.id, -1);
    EXPECT_TRUE(summaries[0].finite);
    summarize_logits(exec(), nullptr, {0, 9}, {}, {});
}

}  // namespace
}  // namespace longhaul::kernels::test
