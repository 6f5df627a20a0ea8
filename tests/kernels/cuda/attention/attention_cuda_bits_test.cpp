// What bits of the GPU's attention may depend on.

#include "kernels/cuda/attention/random_attention.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

namespace longhaul::kernels::test {
namespace {

constexpr std::int64_t kHistory = 20'000;  // beyond two fixed parts
constexpr std::int64_t kRows = 37;

class AttentionCudaBits : public ::testing::TestWithParam<std::tuple<DType, std::int64_t>> {
  protected:
    void SetUp() override {
        if (test_gpu() == nullptr) {
            GTEST_SKIP() << "no GPU here";
        }
    }
    static ExecContext exec() { return {Backend::cuda, detect_isa(), 1, test_gpu()}; }
    AttentionCase make_case() const {
        CaseShape shape{.dtype = std::get<0>(GetParam()),
                        .block_slots = 128,
                        .num_kv_heads = 2,
                        .group = 3,
                        .num_rows = kRows,
                        .pool_blocks = 170,
                        .magnitude = 2.0F};
        shape.key_dim = shape.value_dim = std::get<1>(GetParam());
        return {shape, 7};
    }
};

bool same_row(AttentionCase const& attention, AttentionResult const& a, AttentionResult const& b,
              std::int64_t row) {
    std::int64_t const heads = attention.num_heads();
    std::int64_t const dim = attention.shape().value_dim;
    bool same = true;
    for (std::int64_t i = row * heads; i < (row + 1) * heads; ++i) {
        same = same &&
               std::bit_cast<std::uint32_t>(a.lse[i]) == std::bit_cast<std::uint32_t>(b.lse[i]);
    }
    for (std::int64_t i = row * heads * dim; i < (row + 1) * heads * dim; ++i) {
        same = same &&
               std::bit_cast<std::uint32_t>(a.out[i]) == std::bit_cast<std::uint32_t>(b.out[i]);
    }
    return same;
}

/// History and own chunk of rows [first, first + count) of one sequence.
void add_rows(AttentionCase& attention, std::int64_t first, std::int64_t count) {
    std::vector<std::int32_t> rows(count);
    std::iota(rows.begin(), rows.end(), static_cast<std::int32_t>(first));
    std::vector<std::int64_t> visible(count);
    std::iota(visible.begin(), visible.end(), kHistory + first + 1);
    attention.add_item(rows, {{0, 170, 0, 128}}, 0, kHistory);
    attention.add_item(rows, {{0, 170, 0, 128}}, kHistory, kHistory + kRows, visible);
}

TEST_P(AttentionCudaBits, AreEqualOverRuns) {
    for (bool const fixed_splits : {false, true}) {
        AttentionCase attention = make_case();
        add_rows(attention, 0, kRows);
        AttentionResult const first = attention.run(exec(), fixed_splits);
        for (int run = 1; run < 10; ++run) {
            AttentionResult const again = attention.run(exec(), fixed_splits);
            for (std::int64_t row = 0; row < kRows; ++row) {
                ASSERT_TRUE(same_row(attention, first, again, row)) << "row " << row;
            }
        }
    }
}

TEST_P(AttentionCudaBits, DoNotDependOnTheBatchWithFixedSplits) {
    AttentionCase attention = make_case();
    add_rows(attention, 0, kRows);
    AttentionResult const together = attention.run(exec(), true);
    for (std::int64_t first = 0; first < kRows;) {
        std::int64_t const count = std::min<std::int64_t>(1 + first % 5 * 3, kRows - first);
        attention.clear_items();
        add_rows(attention, first, count);
        AttentionResult const apart = attention.run(exec(), true);
        for (std::int64_t row = first; row < first + count; ++row) {
            ASSERT_TRUE(same_row(attention, together, apart, row)) << "row " << row;
        }
        first += count;
    }
}

/// Rows before `from` have the bits they had, as have the other KV heads of the rest; the rest are NaN or infinite in the
/// element that was spoiled, or throughout.
void expect_spoiled(AttentionCase const& attention, AttentionResult const& before,
                    AttentionResult const& after, std::int64_t count, std::int64_t from,
                    bool throughout) {
    std::int64_t const group = attention.shape().group;
    std::int64_t const dim = attention.shape().value_dim;
    for (std::int64_t row = 0; row < count; ++row) {
        if (row < from) {
            ASSERT_TRUE(same_row(attention, before, after, row)) << "row " << row;
            continue;
        }
        std::int64_t const place = row * attention.num_heads();
        ASSERT_EQ(before.lse[place], after.lse[place]) << "row " << row;
        for (std::int64_t head = group; head < 2 * group; ++head) {
            for (std::int64_t e = throughout ? 0 : 5; e < (throughout ? dim : 6); ++e) {
                float const value = after.out[(place + head) * dim + e];
                ASSERT_TRUE(throughout ? std::isnan(value) : !std::isfinite(value))
                    << "row " << row << ", head " << head;
            }
            if (throughout) {
                ASSERT_TRUE(std::isnan(after.lse[place + head])) << "row " << row;
            }
        }
    }
}

TEST_P(AttentionCudaBits, ShowWhatIsNotFiniteInTheRowsThatSeeItAlone) {
    for (float const bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        for (std::int64_t const count :
             {kRows, std::int64_t{5}}) {  // few rows have a kernel of their own
            SCOPED_TRACE("rows " + std::to_string(count));
            AttentionCase attention = make_case();
            add_rows(attention, 0, count);
            AttentionResult const before = attention.run(exec());
            std::int64_t const from = count / 3;
            std::int64_t const slot = kHistory + from;
            attention.set_value(slot / 128, 1, slot % 128, 5, bad);
            std::int64_t const hidden =
                kHistory + kRows + 3;  // behind the last slot: nobody sees it
            attention.set_value(hidden / 128, 0, hidden % 128, 5, bad);
            attention.set_key(hidden / 128, 0, hidden % 128, 5, bad);
            AttentionResult const value = attention.run(exec());
            expect_spoiled(attention, before, value, count, from, false);
            attention.set_key(slot / 128, 1, slot % 128, 5,
                              std::numeric_limits<float>::quiet_NaN());
            AttentionResult const key = attention.run(exec());
            expect_spoiled(attention, before, key, count, from, true);
        }
    }
}

TEST_P(AttentionCudaBits, ShowABadSlotOfTheHistoryInEveryRow) {
    for (std::int64_t const count : {kRows, std::int64_t{1}}) {
        AttentionCase attention = make_case();
        add_rows(attention, 0, count);
        AttentionResult const before = attention.run(exec());
        attention.set_key(77, 1, 100, 0, std::numeric_limits<float>::quiet_NaN());
        expect_spoiled(attention, before, attention.run(exec()), count, 0, true);
    }
}

INSTANTIATE_TEST_SUITE_P(Levels, AttentionCudaBits,
                         ::testing::Values(std::tuple{DType::f32, std::int64_t{64}},
                                           std::tuple{DType::bf16, std::int64_t{80}},
                                           std::tuple{DType::bf16, std::int64_t{64}},
                                           std::tuple{DType::bf16, std::int64_t{128}}),
                         [](auto const& test) {
                             return std::string(dtype_name(std::get<0>(test.param))) + "_dim" +
                                    std::to_string(std::get<1>(test.param));
                         });

}  // namespace
}  // namespace longhaul::kernels::test
