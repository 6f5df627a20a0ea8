#include "kernels/linear.hpp"

#include "kernels/cpu/linear_dnnl.hpp"
#include "kernels/dense/linear_case.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <thread>

namespace longhaul::kernels::test {
namespace {

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
            if (cpu::dnnl_is_faster(cpu_context(isa), dtype, in.shape.m)) {
                continue;
            }
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
            auto const bytes =
                static_cast<std::size_t>(in.shape.m * in.shape.k * dtype_bytes(dtype));
            auto const shift = static_cast<std::size_t>(dtype_bytes(dtype));
            std::vector<std::byte> shifted(bytes + shift);
            std::memcpy(shifted.data() + shift, in.activations(), bytes);
            std::vector<float> c(5 * 37 + 2, kGuard);

            linear(exec, shifted.data() + shift, 5, weight, c.data() + 1);

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
