#include "kernels/rope_kv.hpp"

#include "kernels/reference/load_element.hpp"
#include "support/tolerance.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numbers>
#include <random>
#include <tuple>
#include <vector>

namespace longhaul::kernels {
namespace {

using reference::load_element;

TEST(RopeTable, AnglesAreExactFarOut) {
    constexpr std::int64_t kDim = 64;
    std::vector<std::int64_t> const positions{0, 1, 1'000'000, 10'000'019};
    std::vector<float> table(positions.size() * kDim);
    rope_table(ExecContext{}, positions, kDim, 10000.0, table.data());
    for (std::size_t row = 0; row < positions.size(); ++row) {
        for (std::int64_t i = 0; i < kDim / 2; ++i) {
            // In extended precision and reduced by hand.
            long double const frequency =
                std::pow(10000.0L, -2.0L * static_cast<long double>(i) / kDim);
            long double const turns = static_cast<long double>(positions[row]) * frequency /
                                      (2 * std::numbers::pi_v<long double>);
            long double const angle =
                (turns - std::floor(turns)) * 2 * std::numbers::pi_v<long double>;
            ASSERT_NEAR(table[row * kDim + 2 * i], static_cast<double>(std::cos(angle)), 1e-7)
                << row << ' ' << i;
            ASSERT_NEAR(table[row * kDim + 2 * i + 1], static_cast<double>(std::sin(angle)), 1e-7)
                << row << ' ' << i;
        }
    }
}

struct Case {
    KvLayout layout;
    std::int64_t num_heads = 0;
    std::int64_t num_rows = 0;
    std::vector<float> qkv;
    std::vector<float> table;
    std::vector<KvSlot> slots;

    struct Result {
        std::vector<std::byte> pool;
        std::vector<std::byte> queries;
    };
    Result run(ExecContext const& exec) const {
        Result result{std::vector<std::byte>(6 * layout.block_bytes(), std::byte{0x3c}),
                      std::vector<std::byte>(num_rows * num_heads * layout.key_dim *
                                             dtype_bytes(layout.dtype))};
        rope_and_write_kv(exec, {layout, result.pool.data(), qkv.data(), table.data(), num_rows,
                                 num_heads, slots, result.queries.data()});
        return result;
    }
};

/// Rows in consecutive slots (pairs of bf16 values meet), over a block's end, with a row that another rank owns.
Case make_case(DType dtype, std::int64_t head_dim, std::int64_t group, std::uint64_t seed) {
    Case result;
    result.layout = {dtype, 32, 3, head_dim, head_dim};
    result.num_heads = 3 * group;
    result.num_rows = 41;
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal;
    result.qkv.resize(result.num_rows * (result.num_heads + 6) * head_dim);
    for (float& x : result.qkv) {
        x = normal(random);
    }
    std::vector<std::int64_t> positions;
    for (std::int64_t row = 0; row < result.num_rows; ++row) {
        positions.push_back(900'000 + 7 * row);
        std::int64_t const slot = 13 + row;
        result.slots.push_back(row % 10 == 9 ? KvSlot{} : KvSlot{slot < 32 ? 4 : 1, slot % 32});
    }
    result.table.resize(result.num_rows * head_dim);
    rope_table(ExecContext{}, positions, head_dim, 10000.0, result.table.data());
    return result;
}

class RopeKv : public ::testing::TestWithParam<std::tuple<DType, int>> {};

TEST_P(RopeKv, ReferenceRotatesAndPlacesByTheLayout) {
    DType const dtype = std::get<0>(GetParam());
    int const head_dim = std::get<1>(GetParam());
    Case const work = make_case(dtype, head_dim, 2, 41);
    Case::Result const result = work.run({Backend::reference});
    double const rounding =
        dtype == DType::f32 ? test_support::kElementwiseTolerance : test_support::kBfloat16Step;
    std::int64_t const row = 22;  // block 1, slot 3
    float const* heads = work.qkv.data() + row * (work.num_heads + 6) * head_dim;
    std::byte const* block = result.pool.data() + work.layout.block_bytes();
    for (std::int64_t e = 0; e < head_dim; ++e) {
        std::int64_t const i = e % (head_dim / 2);
        double const angle = static_cast<double>(900'000 + 7 * row) *
                             std::pow(10000.0, -2.0 * static_cast<double>(i) / head_dim);
        auto const rotated = [&](float const* head) {
            double const a = head[i], b = head[i + head_dim / 2];
            return e < head_dim / 2 ? a * std::cos(angle) - b * std::sin(angle)
                                    : b * std::cos(angle) + a * std::sin(angle);
        };
        std::int64_t const query = (row * work.num_heads + 5) * head_dim + e;
        ASSERT_NEAR(load_element(dtype, &result.queries[query * dtype_bytes(dtype)]),
                    rotated(heads + 5 * head_dim), 4 * rounding);
        ASSERT_NEAR(load_element(dtype, block + work.layout.key_offset(2, 3, e)),
                    rotated(heads + 8 * head_dim), 4 * rounding);
        ASSERT_NEAR(load_element(dtype, block + work.layout.value_offset(2, 3, e)),
                    heads[11 * head_dim + e], 4 * rounding);
    }
}

TEST_P(RopeKv, WritesNothingElse) {
    DType const dtype = std::get<0>(GetParam());
    int const head_dim = std::get<1>(GetParam());
    Case work = make_case(dtype, head_dim, 1, 42);
    Case::Result const first = work.run({});
    // Other contents, same places: exactly the untouched bytes agree with the fill.
    for (float& x : work.qkv) {
        x = 100.0F + x;
    }
    Case::Result const second = work.run({});
    std::int64_t written = 0;
    for (KvSlot const& slot : work.slots) {
        written += slot.block >= 0 ? 1 : 0;
    }
    std::int64_t changed = 0;
    std::int64_t const bytes = dtype_bytes(dtype);
    for (std::size_t i = 0; i < first.pool.size(); i += bytes) {
        bool const untouched = std::memcmp(&first.pool[i], &second.pool[i], bytes) == 0;
        changed += untouched ? 0 : 1;
    }
    EXPECT_EQ(changed, written * 3 * 2 * head_dim);
}

TEST_P(RopeKv, CpuEqualsTheReference) {
    DType const dtype = std::get<0>(GetParam());
    int const head_dim = std::get<1>(GetParam());
    for (std::int64_t const group : {1, 3}) {
        Case const work = make_case(dtype, head_dim, group, 43);
        Case::Result const expected = work.run({Backend::reference});
        for (int const threads : {1, 2, 3}) {
            Case::Result const result = work.run({Backend::cpu, detect_isa(), threads});
            auto const expect_close = [&](std::vector<std::byte> const& a,
                                          std::vector<std::byte> const& b) {
                for (std::size_t i = 0; i < a.size(); i += dtype_bytes(dtype)) {
                    double const value = load_element(dtype, &b[i]);
                    double const bound = dtype == DType::f32
                                             ? 5e-7
                                             : test_support::kBfloat16Step * std::abs(value) + 1e-6;
                    ASSERT_NEAR(load_element(dtype, &a[i]), value, bound) << i;
                }
            };
            expect_close(result.queries, expected.queries);
            expect_close(result.pool, expected.pool);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Shapes, RopeKv,
                         ::testing::Combine(::testing::Values(DType::f32, DType::bf16),
                                            ::testing::Values(8, 24, 64, 256)),
                         [](auto const& test) {
                             return std::string(dtype_name(std::get<DType>(test.param))) + "_" +
                                    std::to_string(std::get<int>(test.param));
                         });

}  // namespace
}  // namespace longhaul::kernels
