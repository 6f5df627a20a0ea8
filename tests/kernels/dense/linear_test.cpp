#include "kernels/linear.hpp"

#include "dense_support.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <thread>

namespace longhaul::kernels::test {
namespace {

struct Problem {
    std::int64_t m;
    std::int64_t n;
    std::int64_t k;
};

/// Inputs of one product. `gap` is the distance between k and the leading dimension, `offset` shifts a and c off their
/// alignment.
struct Inputs {
    Problem shape;
    DType dtype;
    std::int64_t ld;
    std::vector<float> weight;
    std::vector<float> a;
    std::vector<BFloat16> a_bf16;

    Inputs(Problem problem, DType type, std::uint32_t seed, std::int64_t gap = 3)
        : shape(problem), dtype(type), ld(problem.k + gap) {
        weight = random_floats(shape.n * ld, seed);
        a = random_floats(shape.m * shape.k, seed + 1);
        a_bf16 = to_bfloat16s(a);
    }
    [[nodiscard]] void const* activations() const {
        return dtype == DType::f32 ? static_cast<void const*>(a.data()) : a_bf16.data();
    }
    [[nodiscard]] double at_a(std::int64_t row, std::int64_t i) const {
        float const value = a[static_cast<std::size_t>(row * shape.k + i)];
        return dtype == DType::f32 ? value : to_float(to_bfloat16(value));
    }
    [[nodiscard]] double at_weight(std::int64_t column, std::int64_t i) const {
        float const value = weight[static_cast<std::size_t>(column * ld + i)];
        return dtype == DType::f32 ? value : to_float(to_bfloat16(value));
    }
    [[nodiscard]] LinearWeight pack(ExecContext const& exec) const {
        return LinearWeight::pack(exec, weight.data(), shape.n, shape.k, ld, dtype);
    }
};

std::vector<float> multiply(ExecContext const& exec, Inputs const& in) {
    LinearWeight const weight = in.pack(exec);
    std::vector<float> c(static_cast<std::size_t>(in.shape.m * in.shape.n), -77.0F);
    linear(exec, in.activations(), in.shape.m, weight, c.data());
    return c;
}

/// Exact products of the rounded inputs; only the f32 accumulation may differ: sqrt(k) roundings of the sum of magnitudes
/// is four times what random signs give.
void expect_close(std::vector<float> const& c, Inputs const& in, std::string const& what) {
    double const roundings = 4.0 * std::sqrt(static_cast<double>(in.shape.k)) + 4.0;
    for (std::int64_t row = 0; row < in.shape.m; ++row) {
        for (std::int64_t column = 0; column < in.shape.n; ++column) {
            double exact = 0.0;
            double magnitude = 0.0;
            for (std::int64_t i = 0; i < in.shape.k; ++i) {
                double const term = in.at_a(row, i) * in.at_weight(column, i);
                exact += term;
                magnitude += std::abs(term);
            }
            double const got = c[static_cast<std::size_t>(row * in.shape.n + column)];
            ASSERT_NEAR(got, exact, roundings * 0x1p-24 * magnitude + 1e-37)
                << what << " m " << in.shape.m << " n " << in.shape.n << " k " << in.shape.k
                << " row " << row << " column " << column;
        }
    }
}

std::vector<Problem> problems() {
    std::vector<Problem> list = {
        {1, 1, 1},     {1, 8, 3},    {2, 16, 2},    {3, 17, 31},   {4, 24, 8},   {5, 63, 33},
        {6, 64, 64},   {7, 65, 24},  {8, 100, 40},  {9, 130, 15},  {12, 48, 16}, {13, 40, 129},
        {1, 200, 576}, {64, 72, 56}, {1, 33, 2051}, {3, 20, 4097}, {2, 70, 5000}};
    std::mt19937 random(20250101);
    for (int i = 0; i < 12; ++i) {
        list.push_back({1 + static_cast<std::int64_t>(random() % 40),
                        1 + static_cast<std::int64_t>(random() % 150),
                        1 + static_cast<std::int64_t>(random() % 150)});
    }
    return list;
}

TEST(Linear, IsEquivalentToExactProduct) {
    std::uint32_t seed = 1;
    for (Problem const& problem : problems()) {
        for (DType const dtype : {DType::f32, DType::bf16}) {
            Inputs const in(problem, dtype, ++seed);
            expect_close(multiply(reference_context(), in), in, "reference");
            for (Isa const isa : available_isas()) {
                for (int const threads : {1, 3}) {
                    expect_close(
                        multiply(cpu_context(isa, threads), in), in,
                        fmt::format("isa {} {}", static_cast<int>(isa), dtype_name(dtype)));
                }
            }
        }
    }
}

TEST(Linear, RowDoesNotDependOnOtherRowsOrThreads) {
    for (DType const dtype : {DType::f32, DType::bf16}) {
        Inputs const in({41, 150, 2100}, dtype, 7);
        for (Isa const isa : available_isas()) {
            std::vector<float> const whole = multiply(cpu_context(isa, 1), in);
            EXPECT_EQ(whole, multiply(cpu_context(isa, 2), in));
            EXPECT_EQ(whole, multiply(cpu_context(isa, 7), in));
            ExecContext const exec = cpu_context(isa, 1);
            LinearWeight const weight = in.pack(exec);
            for (std::int64_t row = 0; row < in.shape.m; row += 5) {
                std::vector<float> one(static_cast<std::size_t>(in.shape.n));
                auto const* const a = static_cast<std::byte const*>(in.activations()) +
                                      row * in.shape.k * dtype_bytes(dtype);
                linear(exec, a, 1, weight, one.data());
                EXPECT_TRUE(std::equal(one.begin(), one.end(), whole.begin() + row * in.shape.n))
                    << "row " << row;
            }
        }
    }
}

TEST(Linear, WritesItsOutputOnlyAndTakesUnalignedPointers) {
    constexpr float kGuard = 12345.0F;
    for (DType const dtype : {DType::f32, DType::bf16}) {
        for (Isa const isa : available_isas()) {
            Inputs const in({5, 37, 19}, dtype, 11);
            ExecContext const exec = cpu_context(isa, 2);
            LinearWeight const weight = in.pack(exec);
            auto const bytes = static_cast<std::size_t>(5 * 19 * dtype_bytes(dtype));
            std::vector<std::byte> shifted(bytes + 2);
            std::memcpy(shifted.data() + 2, in.activations(), bytes);
            std::vector<float> c(5 * 37 + 2, kGuard);

            linear(exec, shifted.data() + 2, 5, weight, c.data() + 1);

            EXPECT_EQ(c.front(), kGuard);
            EXPECT_EQ(c.back(), kGuard);
            expect_close({c.begin() + 1, c.end() - 1}, in, "unaligned");
        }
    }
}

TEST(Linear, NanStaysInItsRow) {
    for (DType const dtype : {DType::f32, DType::bf16}) {
        for (Isa const isa : available_isas()) {
            Inputs in({7, 20, 13}, dtype,
                      13);  // odd k: a row's last pair would reach into the next row
            for (std::size_t i = 13; i < 26; ++i) {
                in.a[i] = std::numeric_limits<float>::quiet_NaN();
                in.a_bf16[i] = to_bfloat16(in.a[i]);
            }
            std::vector<float> const c = multiply(cpu_context(isa), in);
            for (std::size_t i = 0; i < c.size(); ++i) {
                EXPECT_EQ(std::isnan(c[i]), i >= 20 && i < 40) << i;
            }
        }
    }
}

TEST(Linear, EmptySlices) {
    std::vector<float> const weight(12, 1.0F);
    std::vector<float> const a(12, 1.0F);
    for (ExecContext const& exec : {reference_context(), cpu_context(detect_isa())}) {
        std::vector<float> c(6, 9.0F);
        linear(exec, a.data(), 2, LinearWeight::pack(exec, nullptr, 0, 4, 4, DType::f32), nullptr);
        linear(exec, a.data(), 0, LinearWeight::pack(exec, weight.data(), 3, 4, 4, DType::f32),
               c.data());
        EXPECT_EQ(c, std::vector<float>(6, 9.0F));
        LinearWeight const flat = LinearWeight::pack(exec, nullptr, 3, 0, 4, DType::bf16);
        EXPECT_EQ(flat.n(), 3);
        EXPECT_EQ(flat.k(), 0);
        EXPECT_EQ(flat.bytes(), 0);
        linear(exec, nullptr, 2, flat, c.data());
        EXPECT_EQ(c, std::vector<float>(6, 0.0F));
    }
}

TEST(Linear, RanksAsThreadsShareNothing) {
    Inputs const in({9, 130, 200}, DType::bf16, 17);
    std::vector<float> const expected = multiply(cpu_context(detect_isa()), in);
    std::vector<std::vector<float>> results(4);
    {
        std::vector<std::jthread> ranks;
        for (std::size_t rank = 0; rank < results.size(); ++rank) {
            ranks.emplace_back([&, rank] {
                ExecContext const exec = cpu_context(detect_isa(), static_cast<int>(rank % 2) + 1);
                for (int i = 0; i < 20; ++i) {
                    results[rank] = multiply(exec, in);
                }
            });
        }
    }
    for (std::vector<float> const& result : results) {
        EXPECT_EQ(result, expected);
    }
}

TEST(LinearDeathTest, RefusesAnotherBackend) {
    std::vector<float> const data(16, 1.0F);
    std::vector<float> c(16);
    LinearWeight const weight =
        LinearWeight::pack(reference_context(), data.data(), 4, 4, 4, DType::f32);
    EXPECT_DEATH(linear(cpu_context(Isa::plain), data.data(), 4, weight, c.data()), "precondition");
}

}  // namespace
}  // namespace longhaul::kernels::test
