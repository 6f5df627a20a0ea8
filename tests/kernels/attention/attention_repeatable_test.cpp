// The same bits for a row whatever surrounds it.

#include "kernels/attention/attention_case.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <iterator>
#include <numeric>
#include <thread>
#include <tuple>

namespace longhaul::kernels::test {
namespace {

using Level = std::tuple<DType, Isa>;

std::vector<Level> levels() {
    std::vector<Level> result;
    for (Isa const isa : available_isas()) {
        result.emplace_back(DType::f32, isa);
        result.emplace_back(DType::bf16, isa);
    }
    return result;
}

/// 70 rows of 3 heads per KV head over 2300 slots in some extents: several row tiles, several KV splits. The last 70 slots
/// are the rows' own.
class AttentionRepeatable : public ::testing::TestWithParam<Level> {
  protected:
    static constexpr std::int64_t kRows = 70;
    static constexpr std::int64_t kHistory = 2230;

    AttentionRepeatable() : attention_(make_case(std::get<DType>(GetParam()))) {}

    static AttentionCase make_case(DType dtype) {
        CaseShape const shape{.dtype = dtype,
                              .num_kv_heads = 2,
                              .group = 3,
                              .key_dim = 40,
                              .value_dim = 72,
                              .num_rows = kRows,
                              .pool_blocks = 60,
                              .magnitude = 2.0F};
        return AttentionCase(shape, 11);
    }

    static std::vector<KvExtent> extents() {
        return {{3, 10, 0, 64}, {20, 20, 640, 64}, {14, 1, 1920, 64}, {45, 5, 1984, 64}};
    }

    ExecContext exec(int threads = 1) const {
        return {Backend::cpu, std::get<Isa>(GetParam()), threads};
    }

    /// History and diagonal items of the given rows, in the given order.
    void add_rows(std::vector<std::int32_t> const& rows) {
        std::vector<std::int64_t> visible;
        for (std::int32_t const row : rows) {
            visible.push_back(kHistory + row + 1);
        }
        attention_.add_item(rows, extents(), 0, kHistory);
        attention_.add_item(rows, extents(), kHistory, kHistory + kRows, visible);
    }

    static std::vector<std::int32_t> all_rows() {
        std::vector<std::int32_t> rows(kRows);
        std::iota(rows.begin(), rows.end(), 0);
        return rows;
    }

    void expect_same_row(AttentionResult const& a, AttentionResult const& b, std::int64_t row) {
        std::int64_t const heads = attention_.num_heads();
        std::int64_t const width = heads * attention_.shape().value_dim;
        ASSERT_EQ(0, std::memcmp(&a.out[row * width], &b.out[row * width], width * sizeof(float)))
            << "row " << row;
        ASSERT_EQ(0, std::memcmp(&a.lse[row * heads], &b.lse[row * heads], heads * sizeof(float)))
            << "row " << row;
    }

    AttentionCase attention_;
};

TEST_P(AttentionRepeatable, OverNumbersOfThreads) {
    add_rows(all_rows());
    AttentionResult const expected = attention_.run(exec(1));
    for (int const threads : {2, 3, 7}) {
        AttentionResult const result = attention_.run(exec(threads));
        for (std::int64_t row = 0; row < kRows; ++row) {
            expect_same_row(result, expected, row);
        }
    }
}

TEST_P(AttentionRepeatable, ARowAloneAndInCompany) {
    add_rows(all_rows());
    AttentionResult const expected = attention_.run(exec());
    for (std::int32_t const row : {0, 5, 16, 33, 69}) {
        attention_.clear_items();
        add_rows({row});
        for (int const threads : {1, 3}) {
            expect_same_row(attention_.run(exec(threads)), expected, row);
        }
    }
}

TEST_P(AttentionRepeatable, AtEveryPlaceInATile) {
    add_rows(all_rows());
    AttentionResult const expected = attention_.run(exec());
    std::mt19937_64 random(12);
    for (int i = 0; i < 6; ++i) {
        std::vector<std::int32_t> rows = all_rows();
        std::shuffle(rows.begin(), rows.end(), random);
        rows.resize(pick(random, 1, kRows));
        attention_.clear_items();
        add_rows(rows);
        AttentionResult const result = attention_.run(exec(2));
        for (std::int32_t const row : rows) {
            expect_same_row(result, expected, row);
        }
    }
}

TEST_P(AttentionRepeatable, BesideOtherItems) {
    add_rows({7, 21});
    AttentionResult const expected = attention_.run(exec());
    attention_.clear_items();
    attention_.add_item({1, 2, 3}, {{50, 8, 0, 64}}, 5, 500);
    add_rows({7, 21});
    attention_.add_item({4, 1}, extents(), 0, 100);
    AttentionResult const result = attention_.run(exec(3));
    expect_same_row(result, expected, 7);
    expect_same_row(result, expected, 21);
}

TEST_P(AttentionRepeatable, WhenSeveralRanksComputeAtOnce) {
    add_rows(all_rows());
    AttentionResult const expected = attention_.run(exec());
    std::vector<AttentionResult> results(3);
    std::vector<std::thread> ranks;
    for (AttentionResult& result : results) {
        ranks.emplace_back([&] { result = attention_.run(exec(2)); });
    }
    for (std::thread& rank : ranks) {
        rank.join();
    }
    for (AttentionResult const& result : results) {
        for (std::int64_t row = 0; row < kRows; ++row) {
            expect_same_row(result, expected, row);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Levels, AttentionRepeatable, ::testing::ValuesIn(levels()),
                         [](auto const& test) {
                             return std::string(dtype_name(std::get<DType>(test.param))) + "_" +
                                    isa_name(std::get<Isa>(test.param));
                         });

}  // namespace
}  // namespace longhaul::kernels::test
