#include "kernels/attention/attention_case.hpp"
#include "support/tolerance.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>
#include <tuple>

namespace longhaul::kernels::test {
namespace {

double largest_difference(std::vector<float> const& a, std::vector<float> const& b) {
    double largest = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        largest = std::max(largest, std::abs(double{a[i]} - b[i]));
    }
    return largest;
}

/// Close to the reference, and in bf16 not much farther from it than a plain loop over rounded numbers.
void expect_as_good(AttentionCase const& attention, AttentionResult const& result,
                    AttentionResult const& expected) {
    expect_close(attention, result, expected);
    if (attention.shape().dtype == DType::bf16) {
        AttentionResult const naive = attention.run_naive_bf16();
        EXPECT_LE(
            largest_difference(result.out, expected.out),
            2 * largest_difference(naive.out, expected.out) + 1e-5 * attention.largest_value());
    }
}

CaseShape random_shape(DType dtype, std::mt19937_64& random) {
    CaseShape shape;
    shape.dtype = dtype;
    shape.block_slots =
        std::array<std::int64_t, 5>{64, 128, 64, 128, 16 * pick(random, 1, 6)}[pick(random, 0, 4)];
    shape.num_kv_heads = pick(random, 1, 3);
    shape.group = std::array<std::int64_t, 6>{1, 2, 3, 4, 7, 16}[pick(random, 0, 5)];
    shape.key_dim = 8 * pick(random, 1, pick(random, 0, 3) == 0 ? 32 : 10);
    shape.value_dim = pick(random, 0, 2) == 0 ? 8 * pick(random, 1, 20) : shape.key_dim;
    shape.num_rows = pick(random, 1, 13);
    shape.magnitude = std::array<float, 3>{1.0F, 0.1F, 3.0F}[pick(random, 0, 2)];
    return shape;
}

/// Some sequences whose newest slots are the rows' own: a history and a diagonal item each, both masked in mid-block.
AttentionCase random_case(DType dtype, std::mt19937_64& random) {
    CaseShape shape = random_shape(dtype, random);
    std::vector<std::int32_t> rows(shape.num_rows);
    std::iota(rows.begin(), rows.end(), 0);
    std::shuffle(rows.begin(), rows.end(), random);

    struct Sequence {
        std::vector<std::int32_t> rows;
        std::vector<KvExtent> extents;
        std::int64_t history = 0;
        std::int64_t slots = 0;
    };
    std::vector<Sequence> sequences;
    while (!rows.empty() && pick(random, 0, 5) != 0) {  // sometimes rows are left in no item
        Sequence sequence;
        std::int64_t const count = pick(random, 1, std::ssize(rows));
        sequence.rows.assign(rows.end() - count, rows.end());
        rows.resize(rows.size() - count);
        std::int64_t const longest = shape.key_dim * shape.group > 500 ? 400 : 2600;
        sequence.history = pick(random, 0, 3) == 0 ? 0 : pick(random, 0, longest);
        sequence.slots = sequence.history + count;
        std::int64_t const kvp = pick(random, 1, 4);
        sequence.extents = place_sequence(shape, sequence.slots, pick(random, 0, kvp - 1), kvp,
                                          shape.pool_blocks, random);
        sequences.push_back(sequence);
    }
    AttentionCase attention(shape, random());
    for (Sequence const& sequence : sequences) {
        // Scores grow with their slot sometimes, so that the softmax reference moves.
        attention.add_item(sequence.rows, sequence.extents,
                           pick(random, 0, 1) * sequence.history / 7, sequence.history);
    }
    for (Sequence const& sequence : sequences) {
        std::vector<std::int64_t> visible;
        for (std::int64_t i = 0; i < std::ssize(sequence.rows); ++i) {
            visible.push_back(sequence.history + (pick(random, 0, 9) == 0 ? 0 : i + 1));
        }
        attention.add_item(sequence.rows, sequence.extents, sequence.history, sequence.slots,
                           visible);
    }
    return attention;
}

using Level = std::tuple<DType, Isa>;
class AttentionCpu : public ::testing::TestWithParam<Level> {
  protected:
    DType dtype() const { return std::get<DType>(GetParam()); }
    ExecContext exec(int threads = 1) const {
        return {Backend::cpu, std::get<Isa>(GetParam()), threads};
    }
};

TEST_P(AttentionCpu, EqualsTheReferenceOnRandomWork) {
    // Other work for every level.
    std::uint64_t const first = 1000 * static_cast<std::uint64_t>(std::get<Isa>(GetParam()));
    for (std::uint64_t seed = first + 1; seed <= first + 12; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        std::mt19937_64 random(seed);
        AttentionCase const attention = random_case(dtype(), random);
        int const threads = static_cast<int>(pick(random, 1, 3));
        expect_as_good(attention, attention.run(exec(threads)), attention.run_reference());
        if (HasFatalFailure()) {
            return;
        }
    }
}

TEST_P(AttentionCpu, StaysFiniteWithScoresOfAnyMagnitude) {
    for (float const magnitude : {1e-18F, 30.0F, 3e3F, 1e15F}) {
        SCOPED_TRACE(magnitude);
        AttentionCase attention({.dtype = dtype(),
                                 .key_dim = 16,
                                 .value_dim = 8,
                                 .num_rows = 3,
                                 .pool_blocks = 20,
                                 .magnitude = magnitude},
                                5);
        attention.add_item({0, 1, 2}, {{0, 20, 0, 64}}, 3, 1200, {1200, 4, 900});
        AttentionResult const expected = attention.run_reference();
        AttentionResult const result = attention.run(exec());
        double const scale = attention.largest_value();
        for (std::size_t i = 0; i < result.out.size(); ++i) {
            ASSERT_TRUE(std::isfinite(result.out[i]));
            // Scores beyond 1e6 are rounded by more than 1 in f32: only their order counts.
            if (magnitude < 1e3F) {
                ASSERT_NEAR(result.out[i], expected.out[i], 4e-3 * scale);
            }
        }
        for (std::size_t i = 0; i < result.lse.size(); ++i) {
            ASSERT_NEAR(result.lse[i], expected.lse[i],
                        1e-5 * std::max(1.0, std::abs(double{expected.lse[i]})));
        }
    }
}

TEST_P(AttentionCpu, RisingScoresMoveTheReferenceAgainAndAgain) {
    AttentionCase attention(
        {.dtype = dtype(), .key_dim = 8, .value_dim = 24, .num_rows = 2, .pool_blocks = 32}, 6);
    for (std::int64_t dim = 0; dim < 8; ++dim) {
        attention.set_query(0, 0, dim, dim == 0 ? 4.0F : 0.0F);
        attention.set_query(1, 0, dim, dim == 0 ? -4.0F : 0.0F);
    }
    for (std::int64_t slot = 0; slot < 32 * 64; ++slot) {
        attention.set_key(slot / 64, 0, slot % 64, 0, static_cast<float>(slot - 1000) / 8.0F);
    }
    attention.add_item({1, 0}, {{0, 32, 0, 64}}, 0, 32 * 64);
    expect_as_good(attention, attention.run(exec()), attention.run_reference());
}

TEST_P(AttentionCpu, AStaleSlotThatIsNotSeenNeverShows) {
    AttentionCase attention({.dtype = dtype(), .num_rows = 2, .pool_blocks = 3}, 7);
    attention.add_item({0, 1}, {{0, 3, 0, 64}}, 10, 150, {140, 100});
    AttentionResult const before = attention.run(exec());
    for (std::int64_t slot = 0; slot < 192; ++slot) {
        if (slot >= 10 && slot < 140) {
            continue;
        }
        for (std::int64_t dim = 0; dim < 64; ++dim) {
            attention.set_key(slot / 64, 0, slot % 64, dim, 1e30F);
            attention.set_value(slot / 64, 0, slot % 64, dim, -1e30F);
        }
    }
    AttentionResult const after = attention.run(exec());
    EXPECT_EQ(before.out, after.out);
    EXPECT_EQ(before.lse, after.lse);
}

TEST_P(AttentionCpu, EmptyWorkGivesZeros) {
    AttentionCase attention({.dtype = dtype(), .group = 3, .num_rows = 4, .pool_blocks = 2}, 8);
    attention.add_item({}, {{0, 2, 0, 64}}, 0, 128);
    attention.add_item({1}, {}, 0, 128);
    attention.add_item({2}, {{0, 0, 0, 64}, {0, 2, 64, 64}}, 0, 64);
    attention.add_item({3}, {{0, 2, 0, 64}}, 50, 128, {50});
    AttentionResult const result = attention.run(exec(2));
    EXPECT_THAT(result.out, ::testing::Each(0.0F));
    EXPECT_THAT(result.lse, ::testing::Each(-std::numeric_limits<float>::infinity()));
}

std::vector<Level> levels() {
    std::vector<Level> result;
    for (Isa const isa : available_isas()) {
        result.emplace_back(DType::f32, isa);
        result.emplace_back(DType::bf16, isa);
    }
    return result;
}

INSTANTIATE_TEST_SUITE_P(Levels, AttentionCpu, ::testing::ValuesIn(levels()), [](auto const& test) {
    return std::string(dtype_name(std::get<DType>(test.param))) + "_" +
           isa_name(std::get<Isa>(test.param));
});

}  // namespace
}  // namespace longhaul::kernels::test
