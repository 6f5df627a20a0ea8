#pragma once

#include "kernels/dense/dense_support.hpp"
#include "kernels/linear.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace longhaul::kernels::test {

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

inline std::vector<float> multiply(ExecContext const& exec, Inputs const& in) {
    LinearWeight const weight = in.pack(exec);
    std::vector<float> c(static_cast<std::size_t>(in.shape.m * in.shape.n), -77.0F);
    linear(exec, in.activations(), in.shape.m, weight, c.data());
    return c;
}

/// Exact products of the rounded inputs; only the f32 accumulation may differ: sqrt(k) roundings of the sum of magnitudes
/// is four times what random signs give.
inline void expect_close(std::vector<float> const& c, Inputs const& in, std::string const& what) {
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

}  // namespace longhaul::kernels::test
