#include "kernels/norm.hpp"

#include "kernels/dense/dense_support.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

namespace longhaul::kernels::test {
namespace {

constexpr std::int64_t kDims[] = {1, 2, 7, 8, 15, 16, 17, 24, 33, 64, 100, 576, 1031};

/// An output of either type, readable as floats.
struct Output {
    DType dtype;
    std::vector<float> f32;
    std::vector<BFloat16> bf16;

    Output(DType type, std::int64_t count)
        : dtype(type),
          f32(static_cast<std::size_t>(count), 5.0F),
          bf16(static_cast<std::size_t>(count)) {}
    void* data() { return dtype == DType::f32 ? static_cast<void*>(f32.data()) : bf16.data(); }
    [[nodiscard]] std::vector<float> floats() const {
        if (dtype == DType::f32) {
            return f32;
        }
        std::vector<float> values;
        for (BFloat16 const value : bf16) {
            values.push_back(to_float(value));
        }
        return values;
    }
};

/// f32 arithmetic against fp64 rounded once; bf16 may also fall on the other side of a tie.
void expect_close(std::vector<float> const& got, std::vector<float> const& expected, DType dtype) {
    ASSERT_EQ(got.size(), expected.size());
    double const relative = dtype == DType::f32 ? 6e-7 : 0x1p-7;
    for (std::size_t i = 0; i < got.size(); ++i) {
        ASSERT_NEAR(got[i], expected[i], relative * std::abs(expected[i]) + 1e-36) << i;
    }
}

struct NormResult {
    std::vector<float> x;
    std::vector<float> out;
};

NormResult run_norm(ExecContext const& exec, std::int64_t rows, std::int64_t dim, bool with_delta,
                    DType dtype) {
    std::vector<float> x = random_floats(rows * dim, 3);
    std::vector<float> const delta = random_floats(rows * dim, 4);
    std::vector<float> const weight = random_floats(dim, 5);
    Output out(dtype, rows * dim);
    residual_rms_norm(exec, {.x = x.data(),
                             .delta = with_delta ? delta.data() : nullptr,
                             .weight = weight.data(),
                             .epsilon = 1e-5,
                             .num_rows = rows,
                             .dim = dim,
                             .out = out.data(),
                             .out_dtype = dtype});
    return {x, out.floats()};
}

TEST(ResidualRmsNorm, IsEquivalentToReference) {
    for (std::int64_t const dim : kDims) {
        for (std::int64_t const rows : {1, 2, 37}) {
            for (DType const dtype : {DType::f32, DType::bf16}) {
                for (bool const with_delta : {false, true}) {
                    NormResult const expected =
                        run_norm(reference_context(), rows, dim, with_delta, dtype);
                    for (Isa const isa : available_isas()) {
                        NormResult const got =
                            run_norm(cpu_context(isa, 2), rows, dim, with_delta, dtype);
                        EXPECT_EQ(got.x, expected.x);
                        expect_close(got.out, expected.out, dtype);
                    }
                }
            }
        }
    }
}

TEST(ResidualRmsNorm, HandComputedRow) {
    std::vector<float> x = {1.0F, 2.0F};
    std::vector<float> const delta = {2.0F, 2.0F};
    std::vector<float> const weight = {1.0F, 10.0F};
    std::vector<float> out(2);
    for (ExecContext const& exec : {reference_context(), cpu_context(Isa::plain)}) {
        x = {1.0F, 2.0F};
        residual_rms_norm(exec, {.x = x.data(),
                                 .delta = delta.data(),
                                 .weight = weight.data(),
                                 .epsilon = 0.0,
                                 .num_rows = 1,
                                 .dim = 2,
                                 .out = out.data()});
        EXPECT_EQ(x, (std::vector<float>{3.0F, 4.0F}));
        EXPECT_FLOAT_EQ(out[0], static_cast<float>(3.0 / std::sqrt(12.5)));
        EXPECT_FLOAT_EQ(out[1], static_cast<float>(40.0 / std::sqrt(12.5)));
    }
}

TEST(ResidualRmsNorm, AddsOnlyWhenNoOutputIsWanted) {
    for (ExecContext const& exec : {reference_context(), cpu_context(detect_isa())}) {
        std::vector<float> x = random_floats(30, 8);
        std::vector<float> const before = x;
        std::vector<float> const delta = random_floats(30, 9);
        residual_rms_norm(exec, {.x = x.data(), .delta = delta.data(), .num_rows = 2, .dim = 15});
        for (std::size_t i = 0; i < x.size(); ++i) {
            EXPECT_EQ(x[i], before[i] + delta[i]);
        }
    }
}

TEST(ResidualRmsNorm, RowBitsAreIndependent) {
    for (Isa const isa : available_isas()) {
        NormResult const one = run_norm(cpu_context(isa, 1), 64, 577, true, DType::f32);
        NormResult const many = run_norm(cpu_context(isa, 5), 64, 577, true, DType::f32);
        EXPECT_EQ(one.out, many.out);
        // Row 3 alone, from an address with another alignment.
        constexpr std::ptrdiff_t kRow = 3;
        std::vector<float> const weight = random_floats(577, 5);
        std::vector<float> x(578);
        std::copy_n(one.x.begin() + kRow * 577, 577, x.begin() + 1);
        std::vector<float> out(577);
        residual_rms_norm(cpu_context(isa), {.x = x.data() + 1,
                                             .weight = weight.data(),
                                             .num_rows = 1,
                                             .dim = 577,
                                             .out = out.data()});
        EXPECT_TRUE(std::equal(out.begin(), out.end(), one.out.begin() + kRow * 577));
    }
}

TEST(Convert, RoundsLikeBase) {
    std::vector<float> x = random_floats(20011, 21);
    x[5] = std::numeric_limits<float>::infinity();
    x[6] = -std::numeric_limits<float>::infinity();
    x[7] = std::numeric_limits<float>::quiet_NaN();
    x[8] = std::numeric_limits<float>::denorm_min();
    x[9] = std::numeric_limits<float>::max();
    x[10] = 1.0F + 0x1p-8F;
    x[11] = 1.0F + 3 * 0x1p-8F;
    x[12] = -0.0F;
    for (Isa const isa : available_isas()) {
        for (std::int64_t const count : {1, 3, 15, 16, 17, 100, 20011}) {
            Output out(DType::bf16, count + 1);
            convert(cpu_context(isa, 2), x.data(), count, out.data(), DType::bf16);
            for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
                ASSERT_EQ(out.bf16[i].bits, to_bfloat16(x[i]).bits) << i;
            }
            EXPECT_EQ(out.bf16.back().bits, 0);
        }
        Output copy(DType::f32, 20011);
        convert(cpu_context(isa, 2), x.data(), 20011, copy.data(), DType::f32);
        EXPECT_EQ(std::memcmp(copy.f32.data(), x.data(), x.size() * sizeof(float)), 0);
    }
    convert(reference_context(), nullptr, 0, nullptr, DType::bf16);
}

TEST(Swiglu, IsEquivalentToReference) {
    for (std::int64_t const dim : kDims) {
        for (DType const dtype : {DType::f32, DType::bf16}) {
            std::int64_t const rows = 5;
            std::vector<float> const gate_up = random_floats(rows * 2 * dim, 31, 8.0F);
            Output expected(dtype, rows * dim);
            swiglu(reference_context(), gate_up.data(), rows, dim, expected.data(), dtype);
            for (Isa const isa : available_isas()) {
                Output got(dtype, rows * dim);
                swiglu(cpu_context(isa, 2), gate_up.data(), rows, dim, got.data(), dtype);
                expect_close(got.floats(), expected.floats(), dtype);
            }
        }
    }
}

TEST(Swiglu, ExtremeGates) {
    float const infinity = std::numeric_limits<float>::infinity();
    std::vector<float> const gate_up = {-200.0F, 200.0F, -88.0F, 0.0F, infinity, NAN,  -90.0F,
                                        1.0F,    1.0F,   1.0F,   1.0F, 1.0F,     1.0F, 1.0F};
    for (Isa const isa : available_isas()) {
        std::vector<float> out(7);
        swiglu(cpu_context(isa), gate_up.data(), 1, 7, out.data(), DType::f32);
        EXPECT_NEAR(out[0], 0.0F, 1e-30F);
        EXPECT_EQ(out[1], 200.0F);
        EXPECT_NEAR(out[2], 0.0F, 1e-30F);
        EXPECT_EQ(out[3], 0.0F);
        EXPECT_EQ(out[4], infinity);
        EXPECT_TRUE(std::isnan(out[5]));
        EXPECT_NEAR(out[6], 0.0F, 1e-30F);
    }
}

}  // namespace
}  // namespace longhaul::kernels::test
