// T2 of the design on loopback: every grid, chunk, block size, batch, policy and storage gives the baseline's results.

#include "ranks/engine/layout_cases.hpp"

#include <gtest/gtest.h>

#include <iostream>

namespace longhaul::test {
namespace {

LayoutChecker& checker() {
    static LayoutChecker instance;
    return instance;
}

// Sanitizers are slow: one round of cases, and under the thread sanitizer every other one of it.
#if defined(__SANITIZE_THREAD__)
constexpr int kVariants = 1;
constexpr std::size_t kStride = 2;
#elif defined(__SANITIZE_ADDRESS__)
constexpr int kVariants = 1;
constexpr std::size_t kStride = 1;
#else
constexpr int kVariants = 4;
constexpr std::size_t kStride = 1;
#endif

class Layouts : public testing::TestWithParam<Grid> {};

TEST_P(Layouts, AgreeWithOneRank) {
    Comparison const before = checker().total;
    std::vector<EngineCase> const cases = cases_of(GetParam(), kVariants);
    for (std::size_t c = kStride - 1; c < cases.size(); c += kStride) {
        EngineCase const& which = cases[c];
        EngineOutcome const outcome =
            checker().runner.run_on_loopback(which, checker().jobs(which));
        for (std::string const& problem : checker().check(which, outcome)) {
            ADD_FAILURE() << which.name() << ": " << problem;
        }
    }
    Comparison const& after = checker().total;
    EXPECT_GT(after.values - before.values, 1000);
    // Near-ties are rare in the tiny model: more of them would hide a defect.
    EXPECT_LE(after.near_ties - before.near_ties, 2);
    std::cout << "largest difference so far " << after.max_delta << " over " << after.values
              << " log-probabilities, near-ties " << after.near_ties << '\n';
}

INSTANTIATE_TEST_SUITE_P(Grids, Layouts, testing::ValuesIn(kGrids),
                         [](testing::TestParamInfo<Grid> const& which) {
                             Grid const& grid = which.param;
                             return "replicas" + std::to_string(grid.replicas) + "spp" +
                                    std::to_string(grid.spp) + "kvp" + std::to_string(grid.kvp) +
                                    "tp" + std::to_string(grid.tp);
                         });

// bf16 has no bound of its own here: the real model's is measured against transformers. The tiny model must stay close.
TEST(LayoutsInBf16, StayCloseToF32) {
    for (Grid const& grid : {Grid{1, 1, 1, 1}, Grid{1, 2, 2, 2}}) {
        EngineCase which = cases_of(grid, 1)[2];
        which.dtype = DType::bf16;
        std::vector<JobLine> const& jobs = checker().jobs(which);
        EngineCase exact = baseline_case();
        EngineResults const reference = checker().runner.run_on_loopback(exact, jobs).results;
        EngineResults const run = checker().runner.run_on_loopback(which, jobs).results;

        std::vector<JobLine> const scored{jobs[0]};
        Comparison const comparison = compare(scored, reference, {{"score", run.at("score")}}, 1.0);

        EXPECT_TRUE(comparison.problems.empty())
            << which.name() << ": " << comparison.problems.front();
        EXPECT_LT(comparison.mean_delta(), 0.1) << which.name();
        EXPECT_GT(comparison.mean_delta(), 1e-6) << "bf16 computed in f32?";
    }
}

}  // namespace
}  // namespace longhaul::test
