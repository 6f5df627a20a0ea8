#include "kernels/cuda/dense/cuda_support.hpp"
#include "kernels/linear.hpp"
#include "kernels/linear_impl.hpp"
#include "support/tolerance.hpp"

#include <cmath>
#include <random>

namespace longhaul::kernels::test {
namespace {

struct Shape {
    std::int64_t m;
    std::int64_t n;
    std::int64_t k;
};

class LinearCuda : public CudaTest {
  protected:
    struct Case {
        Shape shape;
        DType dtype;
        std::vector<float> a;  ///< rounded to dtype
        std::vector<float> weight;
        LinearWeight packed;
        device::Buffer on_gpu;  ///< a behind `shift` elements
        std::int64_t shift;
    };

    Case make(Shape shape, DType dtype, std::int64_t shift = 0) {
        Case made{shape,
                  dtype,
                  uniform_floats(shape.m * shape.k, next_seed()),
                  uniform_floats(shape.n * shape.k, next_seed()),
                  {},
                  {},
                  shift};
        made.packed =
            LinearWeight::pack(exec(), made.weight.data(), shape.n, shape.k, shape.k, dtype);
        std::vector<float> shifted(static_cast<std::size_t>(shift), NAN);
        shifted.insert(shifted.end(), made.a.begin(), made.a.end());
        if (dtype == DType::f32) {
            made.on_gpu = put(shifted);
            return made;
        }
        made.on_gpu = put(to_bfloat16s(shifted));
        for (std::vector<float>* values : {&made.a, &made.weight}) {
            for (float& value : *values) {
                value = to_float(to_bfloat16(value));
            }
        }
        return made;
    }

    /// Rows [first, first + rows) of a.
    std::vector<float> multiply(Case const& work, std::int64_t first, std::int64_t rows,
                                DType c_dtype) {
        std::int64_t const count = rows * work.shape.n;
        device::Buffer const c = poisoned(count * dtype_bytes(c_dtype));
        linear(exec(),
               work.on_gpu.data() + (work.shift + first * work.shape.k) * dtype_bytes(work.dtype),
               rows, work.packed, c.data(), c_dtype);
        return get_as(c_dtype, c.data(), count);
    }

    void expect_right_in_all_types(Shape const& shape) {
        Case const work = make(shape, DType::bf16);
        expect_right(work, DType::f32);
        expect_right(work, DType::bf16);
        expect_right(make(shape, DType::f32), DType::f32);
    }

    /// At most a few thousand elements of c: the reference is slow.
    void expect_right(Case const& work, DType c_dtype) {
        std::vector<float> const c = multiply(work, 0, work.shape.m, c_dtype);
        std::mt19937 random(next_seed());
        std::int64_t const count = work.shape.m * work.shape.n;
        std::int64_t const checks = std::min<std::int64_t>(
            count, std::max<std::int64_t>(300, 4'000'000 / (work.shape.k + 1)));
        double const roundings = 4.0 * std::sqrt(static_cast<double>(work.shape.k)) + 4.0;
        for (std::int64_t check = 0; check < checks; ++check) {
            std::int64_t const i =
                checks == count ? check : static_cast<std::int64_t>(random()) % count;
            std::int64_t const row = i / work.shape.n;
            std::int64_t const column = i % work.shape.n;
            double exact = 0.0;
            double magnitude = 0.0;
            for (std::int64_t e = 0; e < work.shape.k; ++e) {
                double const term =
                    static_cast<double>(work.a[static_cast<std::size_t>(row * work.shape.k + e)]) *
                    work.weight[static_cast<std::size_t>(column * work.shape.k + e)];
                exact += term;
                magnitude += std::abs(term);
            }
            double const bound =
                roundings * 0x1p-24 * magnitude +
                (c_dtype == DType::bf16 ? test_support::kBfloat16Step * std::abs(exact) : 0.0);
            ASSERT_TRUE(agree(c[static_cast<std::size_t>(i)], exact, bound + 1e-37))
                << "m " << work.shape.m << " n " << work.shape.n << " k " << work.shape.k << ' '
                << dtype_name(work.dtype) << " to " << dtype_name(c_dtype) << " row " << row
                << " column " << column << ": " << c[static_cast<std::size_t>(i)] << ", not "
                << exact;
        }
        for (float const value : c) {
            ASSERT_FALSE(std::isnan(value));
        }
    }
};

TEST_F(LinearCuda, EveryPathMatchesExactSums) {
    for (std::int64_t const m : {1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 130}) {
        for (auto const& [n, k] : std::vector<std::pair<std::int64_t, std::int64_t>>{
                 {1, 1}, {1, 8}, {5, 24}, {17, 40}, {33, 576}, {64, 129}, {130, 1000}}) {
            expect_right_in_all_types({m, n, k});
            if (HasFatalFailure()) {
                return;
            }
        }
    }
}

TEST_F(LinearCuda, LargeMatricesMatchExactSums) {
    for (std::int64_t const m : {1, 8, 16, 100}) {
        for (auto const& [n, k] :
             std::vector<std::pair<std::int64_t, std::int64_t>>{{4099, 72},  // a tile of three rows
                                                                {49152, 576},  // k in one piece
                                                                {70, 14336},
                                                                {576, 1536}}) {
            expect_right_in_all_types({m, n, k});
            if (HasFatalFailure()) {
                return;
            }
        }
    }
}

TEST_F(LinearCuda, TakesUnalignedRows) {
    for (Shape const& shape : {Shape{3, 70, 64}, Shape{40, 70, 64}, Shape{40, 71, 63}}) {
        for (std::int64_t const shift : {1, 2, 3, 4}) {
            expect_right(make(shape, DType::bf16, shift), DType::f32);
            expect_right(make(shape, DType::f32, shift), DType::f32);
            if (HasFatalFailure()) {
                return;
            }
        }
    }
}

TEST_F(LinearCuda, BitsOfARowDoNotDependOnTheOthers) {
    for (DType const dtype : {DType::bf16, DType::f32}) {
        for (Shape const& shape : {Shape{16, 100, 4096}, Shape{16, 5000, 264}, Shape{16, 576, 1536},
                                   Shape{16, 70, 77}, Shape{16, 49152, 576}}) {
            Case const work = make(shape, dtype);
            std::vector<float> const all = multiply(work, 0, 16, DType::f32);
            for (std::int64_t const rows : {1, 2, 4, 5, 8, 11}) {
                for (std::int64_t const first : {std::int64_t{0}, std::int64_t{3}, 16 - rows}) {
                    if (first + rows > 16) {
                        continue;
                    }
                    std::vector<float> const some = multiply(work, first, rows, DType::f32);
                    ASSERT_EQ(std::memcmp(some.data(), all.data() + first * shape.n,
                                          some.size() * sizeof(float)),
                              0)
                        << dtype_name(dtype) << " n " << shape.n << " k " << shape.k << " rows "
                        << first << " + " << rows;
                }
            }
        }
    }
}

TEST_F(LinearCuda, ANonFiniteRowSpoilsNoOther) {
    for (DType const dtype : {DType::bf16, DType::f32}) {
        for (std::int64_t const k : {96, 77}) {
            Case work = make({9, 50, k}, dtype);
            std::vector<float> const good = multiply(work, 0, 9, DType::f32);
            work.a[static_cast<std::size_t>(4 * k + 11)] = NAN;
            work.a[static_cast<std::size_t>(8 * k + 5)] = INFINITY;
            work.on_gpu = dtype == DType::f32 ? put(work.a) : put(to_bfloat16s(work.a));
            std::vector<float> const bad = multiply(work, 0, 9, DType::f32);
            for (std::size_t i = 0; i < good.size(); ++i) {
                std::size_t const row = i / 50;
                if (row == 4 || row == 8) {
                    EXPECT_FALSE(std::isfinite(bad[i])) << i;
                } else {
                    EXPECT_EQ(bad[i], good[i]) << i;
                }
            }
        }
    }
}

TEST_F(LinearCuda, NothingToSumGivesZerosAndNothingToDoIsFine) {
    LinearWeight const no_k = LinearWeight::pack(exec(), nullptr, 7, 0, 0, DType::bf16);
    for (DType const c_dtype : {DType::f32, DType::bf16}) {
        device::Buffer const c = poisoned(3 * 7 * dtype_bytes(c_dtype));
        linear(exec(), nullptr, 3, no_k, c.data(), c_dtype);
        for (float const value : get_as(c_dtype, c.data(), 21)) {
            EXPECT_EQ(value, 0.0F);
        }
    }
    LinearWeight const no_n = LinearWeight::pack(exec(), nullptr, 0, 5, 5, DType::bf16);
    linear(exec(), nullptr, 3, no_n, nullptr);
    std::vector<float> const one{1.0F};
    LinearWeight const some = LinearWeight::pack(exec(), one.data(), 1, 1, 1, DType::f32);
    linear(exec(), nullptr, 0, some, nullptr);
}

}  // namespace
}  // namespace longhaul::kernels::test
