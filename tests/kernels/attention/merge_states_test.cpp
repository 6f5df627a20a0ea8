#include "kernels/merge_states.hpp"

#include "support/tolerance.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace longhaul::kernels {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

class MergeStates : public ::testing::TestWithParam<Backend> {
  protected:
    ExecContext exec(int threads = 1) const { return {GetParam(), detect_isa(), threads}; }
};

struct Part {
    std::vector<float> out;
    std::vector<float> lse;
};

TEST_P(MergeStates, WeighsByTheExponentials) {
    // One row, one head of 2: weights 1/4 and 3/4.
    Part const a{{4.0F, 0.0F}, {5.0F}};
    Part const b{{8.0F, 4.0F}, {5.0F + std::log(3.0F)}};
    std::vector<PartialState> const parts{{a.out.data(), 2, a.lse.data(), 1},
                                          {b.out.data(), 2, b.lse.data(), 1}};
    std::vector<float> out(2);
    float lse = 0.0F;
    merge_states(exec(), {parts, 1, 2, 2, 0, out.data(), 2, &lse});
    EXPECT_NEAR(out[0], 7.0F, 1e-5);
    EXPECT_NEAR(out[1], 3.0F, 1e-5);
    EXPECT_NEAR(lse, 5.0 + std::log(4.0), 1e-5);
}

TEST_P(MergeStates, PartsThatSawNothingDoNotCount) {
    Part const nothing{{0.0F, 0.0F}, {kNothing}};
    Part const some{{1.5F, -2.0F}, {-700.0F}};
    std::vector<PartialState> parts{{nothing.out.data(), 2, nothing.lse.data(), 1},
                                    {some.out.data(), 2, some.lse.data(), 1},
                                    {nothing.out.data(), 2, nothing.lse.data(), 1}};
    std::vector<float> out(2);
    float lse = 0.0F;
    merge_states(exec(), {parts, 1, 2, 2, 0, out.data(), 2, &lse});
    EXPECT_EQ(out, some.out);
    EXPECT_EQ(lse, -700.0F);
    parts[1] = parts[0];
    merge_states(exec(), {parts, 1, 2, 2, 0, out.data(), 2, &lse});
    EXPECT_EQ(out, (std::vector<float>{0.0F, 0.0F}));
    EXPECT_EQ(lse, kNothing);
}

/// Every sequence of up to four parts whose LSEs are NaN, inf, -inf or a number, beside a head of ordinary ones.
TEST_P(MergeStates, APartThatIsNotANumberShowsInItsHeadAlone) {
    std::vector<float> const kinds{std::numeric_limits<float>::quiet_NaN(), -kNothing, kNothing,
                                   1.5F, -200.0F};
    for (std::size_t count = 1; count <= 4; ++count) {
        std::size_t const sequences = static_cast<std::size_t>(std::pow(kinds.size(), count) + 0.5);
        for (std::size_t sequence = 0; sequence < sequences; ++sequence) {
            SCOPED_TRACE(std::to_string(count) + " parts, sequence " + std::to_string(sequence));
            std::vector<Part> parts;
            bool poisoned = false;
            bool nothing = true;
            std::size_t rest = sequence;
            for (std::size_t i = 0; i < count; ++i, rest /= kinds.size()) {
                float const lse = kinds[rest % kinds.size()];
                poisoned = poisoned || std::isnan(lse) || lse == -kNothing;
                nothing = nothing && lse == kNothing;
                float const value = lse == kNothing ? 0.0F : 2.0F;
                parts.push_back({{3.0F, 3.0F, value, value}, {0.0F, lse}});
            }
            std::vector<PartialState> states;
            for (Part const& part : parts) {
                states.push_back({part.out.data(), 4, part.lse.data(), 2});
            }
            float lse[2];
            merge_states(exec(), {states, 1, 4, 2, 0, parts[0].out.data(), 4, lse});
            std::vector<float> const& out = parts[0].out;
            EXPECT_NEAR(out[0], 3.0F, 1e-5);
            EXPECT_NEAR(lse[0], std::log(static_cast<double>(count)), 1e-5);
            if (poisoned) {
                ASSERT_TRUE(std::isnan(out[2]) && std::isnan(out[3]) && std::isnan(lse[1]));
            } else {
                ASSERT_NEAR(out[3], nothing ? 0.0F : 2.0F, 1e-5);
                ASSERT_EQ(lse[1] == kNothing, nothing);
            }
        }
    }
}

TEST_P(MergeStates, LargeExponentsStayFinite) {
    Part const a{{1.0F}, {3e38F}};
    Part const b{{3.0F}, {-3e38F}};
    std::vector<PartialState> const parts{{b.out.data(), 1, b.lse.data(), 1},
                                          {a.out.data(), 1, a.lse.data(), 1}};
    std::vector<float> out(1);
    merge_states(exec(), {parts, 1, 1, 1, 0, out.data(), 1, nullptr});
    EXPECT_EQ(out[0], 1.0F);
}

/// Random parts; one slice that begins and ends inside heads, written over the first part.
TEST_P(MergeStates, ASliceEqualsThatPartOfTheWhole) {
    std::mt19937_64 random(31);
    std::normal_distribution<float> normal;
    constexpr std::int64_t kRows = 7, kHeads = 5, kDim = 12, kWidth = kHeads * kDim;
    std::vector<Part> parts(3);
    for (Part& part : parts) {
        for (std::int64_t i = 0; i < kRows * kWidth; ++i) {
            part.out.push_back(normal(random));
        }
        for (std::int64_t i = 0; i < kRows * kHeads; ++i) {
            part.lse.push_back(i % 4 == 1 ? kNothing : 3 * normal(random));
        }
    }
    auto const states = [&](std::int64_t first, std::int64_t first_head) {
        std::vector<PartialState> result;
        for (Part const& part : parts) {
            result.push_back(
                {part.out.data() + first, kWidth, part.lse.data() + first_head, kHeads});
        }
        return result;
    };
    std::vector<float> whole(kRows * kWidth);
    std::vector<float> lse(kRows * kHeads);
    merge_states({Backend::reference},
                 {states(0, 0), kRows, kWidth, kDim, 0, whole.data(), kWidth, lse.data()});

    constexpr std::int64_t kFirst = 16,
                           kSlice = 35;  // heads 1 to 4, the first and the last in part
    std::vector<float> part_lse(kRows * 4);
    auto const slices = states(kFirst, 1);
    MergeArgs const args{slices, kRows,          kSlice, kDim, kFirst, parts[0].out.data() + kFirst,
                         kWidth, part_lse.data()};
    ASSERT_EQ(merge_heads(args), 4);
    merge_states(exec(2), args);
    for (std::int64_t row = 0; row < kRows; ++row) {
        for (std::int64_t e = 0; e < kSlice; ++e) {
            ASSERT_NEAR(parts[0].out[row * kWidth + kFirst + e], whole[row * kWidth + kFirst + e],
                        5 * test_support::kElementwiseTolerance);
        }
        for (std::int64_t head = 0; head < 4; ++head) {
            float const expected = lse[row * kHeads + 1 + head];
            if (std::isinf(expected)) {
                ASSERT_EQ(part_lse[row * 4 + head], expected);
            } else {
                ASSERT_NEAR(part_lse[row * 4 + head], expected,
                            10 * test_support::kElementwiseTolerance);
            }
        }
    }
}

TEST_P(MergeStates, AnEmptySliceIsFine) {
    std::vector<PartialState> const parts(2);
    merge_states(exec(), {parts, 3, 0, 8, 16, nullptr, 0, nullptr});
}

INSTANTIATE_TEST_SUITE_P(Backends, MergeStates, ::testing::Values(Backend::reference, Backend::cpu),
                         [](auto const& test) {
                             return test.param == Backend::cpu ? "cpu" : "reference";
                         });

}  // namespace
}  // namespace longhaul::kernels
