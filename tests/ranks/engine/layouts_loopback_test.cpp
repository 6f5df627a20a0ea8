// T2 of the design on loopback: every grid, chunk, block size, batch, policy and storage gives the baseline's results.

#include "ranks/engine/layout_cases.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <vector>

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
    std::vector<EngineCase> const all = cases_of(GetParam(), kVariants);
    std::vector<EngineCase> cases;
    for (std::size_t c = kStride - 1; c < all.size(); c += kStride) {
        cases.push_back(all[c]);
    }
    expect_agreement(checker(), cases);
    Comparison const& after = checker().total;
    EXPECT_GT(after.values - before.values, 1000);
    // Near-ties are rare in the tiny model: more of them would hide a defect.
    EXPECT_LE(after.near_ties - before.near_ties, 2);
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
        expect_bf16_close_to_f32(checker(), cases_of(grid, 1)[2]);
    }
}

}  // namespace
}  // namespace longhaul::test
