#include "comm/reduce.hpp"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <random>

namespace longhaul::comm::detail {
namespace {

TEST(SumInRankOrder, AddsFromLeftToRight) {
    // In any other order the small addends would survive or vanish differently.
    float const big = 16777216.0F;  // 2^24: adding 1 changes nothing
    std::array<float, 1> const a{big};
    std::array<float, 1> const b{1.0F};
    std::array<float, 1> const c{-big};
    std::array<float, 1> out{};

    sum_in_rank_order({a.data(), b.data(), c.data()}, out);
    EXPECT_EQ(out[0], 0.0F);
    sum_in_rank_order({a.data(), c.data(), b.data()}, out);
    EXPECT_EQ(out[0], 1.0F);
}

TEST(SumInRankOrder, MayWriteOverAnyOfItsRows) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    for (std::size_t const count : {0, 1, 1023, 1024, 1025, 5000}) {
        std::array<std::vector<float>, 3> rows;
        std::vector<float> expected(count);
        for (auto& row : rows) {
            for (std::size_t i = 0; i < count; ++i) {
                row.push_back(normal(random));
            }
        }
        for (std::size_t i = 0; i < count; ++i) {
            expected[i] = (rows[0][i] + rows[1][i]) + rows[2][i];
        }
        for (std::size_t target = 0; target < rows.size(); ++target) {
            auto copy = rows;

            sum_in_rank_order({copy[0].data(), copy[1].data(), copy[2].data()}, copy[target]);

            EXPECT_EQ(copy[target], expected) << count << " elements over row " << target;
        }
    }
}

TEST(ReduceInto, SumMinMax) {
    std::array<std::int64_t, 2> const other{5, -7};
    std::array<std::int64_t, 2> sum{1, 2};
    auto least = sum;
    auto most = sum;

    reduce_into(sum, other, ReduceOp::sum);
    reduce_into(least, other, ReduceOp::min);
    reduce_into(most, other, ReduceOp::max);

    EXPECT_EQ(sum, (std::array<std::int64_t, 2>{6, -5}));
    EXPECT_EQ(least, (std::array<std::int64_t, 2>{1, -7}));
    EXPECT_EQ(most, (std::array<std::int64_t, 2>{5, 2}));
}

}  // namespace
}  // namespace longhaul::comm::detail
