// T2 with weights that every rank makes for itself: any grid has the same global matrices.

#include "ranks/engine/layout_cases.hpp"

#include <gtest/gtest.h>

namespace longhaul::test {
namespace {

TinyModelSpec untied() {
    TinyModelSpec spec;
    spec.tied = false;
    return spec;
}

std::vector<JobLine> jobs() {
    return {score_job("score", random_tokens(1, 150)), generate_job("ids", random_tokens(2, 70), 6),
            question_job("bytes", random_text(3, 20), "Why?", 5)};
}

TEST(RandomWeights, EveryGridHasTheSameModel) {
    for (TinyModelSpec const& spec : {TinyModelSpec{}, untied()}) {
        EngineRunner runner(spec, 5);
        EngineResults const expected = runner.run_on_loopback(baseline_case(), jobs()).results;
        ASSERT_TRUE(expected.at("bytes").ok) << expected.at("bytes").error_code;
        for (Grid const& grid :
             {Grid{1, 1, 1, 1}, Grid{1, 1, 2, 3}, Grid{1, 3, 1, 1}, Grid{1, 2, 2, 2}}) {
            for (model::WeightStorage const storage :
                 {model::WeightStorage::sharded, model::WeightStorage::replicated}) {
                EngineCase which = cases_of(grid, 1)[2];
                which.kvp_weights = storage;
                EngineOutcome const outcome = runner.run_on_loopback(which, jobs());
                Comparison const comparison = compare(jobs(), expected, outcome.results, 1e-3);
                EXPECT_TRUE(comparison.problems.empty())
                    << which.name() << ": " << comparison.problems.front();
                EXPECT_GT(comparison.values, 100);
            }
        }
    }
}

TEST(RandomWeights, AnotherSeedIsAnotherModel) {
    EngineRunner one({}, 1);
    EngineRunner two({}, 2);
    EngineResults const first = one.run_on_loopback(baseline_case(), jobs()).results;
    EngineResults const second = two.run_on_loopback(baseline_case(), jobs()).results;
    EXPECT_NE(first.at("score").scores, second.at("score").scores);
}

// Bytes are tokens where there is no tokenizer.
TEST(RandomWeights, ATextIsItsBytes) {
    EngineRunner runner({}, 1);
    JobLine job = score_job("text", {});
    job.text = "Strasse \xc3\x9f 12\n";
    EngineResults const results = runner.run_on_loopback(baseline_case(), {job}).results;
    ASSERT_TRUE(results.at("text").ok) << results.at("text").error_code;
    EXPECT_EQ(results.at("text").prompt_tokens, static_cast<std::int64_t>(job.text.size()));
}

}  // namespace
}  // namespace longhaul::test
