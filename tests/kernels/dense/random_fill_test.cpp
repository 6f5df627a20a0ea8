#include "kernels/random_fill.hpp"

#include "kernels/dense/dense_support.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace longhaul::kernels::test {
namespace {

TEST(RandomFill, LooksNormal) {
    std::int64_t const cols = 1000;
    RandomMatrix const matrix = make_random_matrix(7, 3, cols, 0.25);
    std::vector<float> values(static_cast<std::size_t>(500 * cols));
    fill_random(reference_context(), matrix, {0, 500}, {0, cols}, values.data(), DType::f32);
    double sum = 0.0;
    double squares = 0.0;
    double neighbours = 0.0;
    std::int64_t within = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        sum += values[i];
        squares += values[i] * values[i];
        neighbours += i > 0 ? values[i] * values[i - 1] : 0.0F;
        within += std::abs(values[i]) < 0.25F ? 1 : 0;
    }
    auto const count = static_cast<double>(values.size());
    EXPECT_NEAR(sum / count, 0.0, 5 * 0.25 / std::sqrt(count));
    EXPECT_NEAR(std::sqrt(squares / count), 0.25, 0.002);
    EXPECT_NEAR(neighbours / squares, 0.0, 5 / std::sqrt(count));
    EXPECT_NEAR(static_cast<double>(within) / count, 0.68, 0.02);
}

TEST(RandomFill, SeedsMatricesRowsAndColumnsDiffer) {
    std::set<float> values;
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
        for (std::uint64_t number = 0; number < 3; ++number) {
            RandomMatrix const matrix = make_random_matrix(seed, number, 5, 1.0);
            for (std::int64_t i = 0; i < 25; ++i) {
                values.insert(matrix.at(i / 5, i % 5));
            }
        }
    }
    EXPECT_GE(values.size(), 220);  // of 225 numbers out of 2^18
}

// The bits are part of what results mean: a run with random weights is repeated by its seed.
TEST(RandomFill, BitsStayWhatTheyAre) {
    RandomMatrix const matrix = make_random_matrix(1, 2, 4096, 1.0 / 64.0);
    EXPECT_EQ(matrix.at(0, 0), -0x1.2e915ep-9F);
    EXPECT_EQ(matrix.at(std::int64_t{1} << 40, 4095), -0x1.c641fap-8F);
}

TEST(RandomFill, ASliceIsTheSliceOfTheWhole) {
    std::int64_t const cols = 77;
    RandomMatrix const matrix = make_random_matrix(5, 1, cols, 1.0);
    for (DType const dtype : {DType::f32, DType::bf16}) {
        auto const bytes = static_cast<std::size_t>(dtype_bytes(dtype));
        std::vector<std::byte> whole(static_cast<std::size_t>(40 * cols) * bytes);
        fill_random(reference_context(), matrix, {0, 40}, {0, cols}, whole.data(), dtype);
        for (Range const rows : {Range{0, 40}, Range{3, 4}, Range{17, 40}, Range{5, 5}}) {
            for (Range const part : {Range{0, 77}, Range{8, 9}, Range{30, 77}, Range{2, 2}}) {
                auto const width = static_cast<std::size_t>(part.size()) * bytes;
                std::vector<std::byte> slice(static_cast<std::size_t>(rows.size()) * width);
                fill_random(cpu_context(Isa::plain, 2), matrix, rows, part, slice.data(), dtype);
                for (std::int64_t row = 0; row < rows.size(); ++row) {
                    auto const expected = whole.begin() + ((rows.begin + row) * cols + part.begin) *
                                                              dtype_bytes(dtype);
                    auto const actual = slice.begin() + row * static_cast<std::int64_t>(width);
                    EXPECT_TRUE(
                        std::equal(actual, actual + static_cast<std::int64_t>(width), expected))
                        << row;
                }
            }
        }
    }
}

}  // namespace
}  // namespace longhaul::kernels::test
