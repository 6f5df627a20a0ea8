#include "kernels/cuda/dense/cuda_support.hpp"
#include "kernels/norm.hpp"
#include "support/tolerance.hpp"

#include <limits>

namespace longhaul::kernels::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class NormCuda : public CudaTest {
  protected:
    struct Input {
        std::int64_t rows;
        std::int64_t dim;
        std::vector<float> x;
        std::vector<float> delta;
        std::vector<float> weight;
    };
    struct Result {
        std::vector<float> x;
        std::vector<float> out;
    };

    Input make(std::int64_t rows, std::int64_t dim) {
        return {rows, dim, random_floats(rows * dim, next_seed(), 3.0F),
                random_floats(rows * dim, next_seed()), random_floats(dim, next_seed())};
    }

    /// Every array behind `shift` floats; `delta` and `out` as wanted.
    Result run(Input const& in, DType dtype, bool delta, bool out, std::int64_t shift = 0) const {
        std::int64_t const count = in.rows * in.dim;
        auto const shifted = [&](std::vector<float> const& values) {
            std::vector<float> all(static_cast<std::size_t>(shift), NAN);
            all.insert(all.end(), values.begin(), values.end());
            return put(all);
        };
        device::Buffer const x = shifted(in.x);
        device::Buffer const d = shifted(in.delta);
        device::Buffer const w = shifted(in.weight);
        device::Buffer const o = poisoned((count + shift) * dtype_bytes(dtype));
        void* const to = o.data() + shift * dtype_bytes(dtype);
        residual_rms_norm(
            exec(), {x.as<float>() + shift, delta ? d.as<float>() + shift : nullptr,
                     w.as<float>() + shift, 1e-5, in.rows, in.dim, out ? to : nullptr, dtype});
        return {get<float>(x.as<float>() + shift, count), get_as(dtype, to, count)};
    }
    static Result reference(Input const& in, bool delta) {
        Result result{in.x, std::vector<float>(in.x.size())};
        residual_rms_norm(reference_context(),
                          {result.x.data(), delta ? in.delta.data() : nullptr, in.weight.data(),
                           1e-5, in.rows, in.dim, result.out.data(), DType::f32});
        return result;
    }
};

double bound(DType dtype, double value) {
    return std::abs(value) * (dtype == DType::f32 ? 4e-7 : test_support::kBfloat16Step) + 1e-30;
}

TEST_F(NormCuda, MatchesReferenceAtAnyWidthAndAlignment) {
    for (std::int64_t const dim : {1, 4, 7, 64, 100, 576, 1000, 1024, 1025, 1028, 2048, 2052, 4096,
                                   4100, 8192, 16384, 16388, 20000}) {
        Input const in = make(dim > 5000 ? 3 : 11, dim);
        for (bool const delta : {false, true}) {
            Result const expected = reference(in, delta);
            for (DType const dtype : {DType::f32, DType::bf16}) {
                for (std::int64_t const shift : {0, 1}) {
                    Result const got = run(in, dtype, delta, true, shift);
                    ASSERT_EQ(got.x, expected.x) << dim;
                    for (std::size_t i = 0; i < got.out.size(); ++i) {
                        ASSERT_TRUE(
                            agree(got.out[i], expected.out[i], bound(dtype, expected.out[i])))
                            << "dim " << dim << " at " << i << ": " << got.out[i] << ", not "
                            << expected.out[i];
                    }
                }
            }
        }
        EXPECT_EQ(run(in, DType::f32, true, false).x, reference(in, true).x);
    }
}

TEST_F(NormCuda, BitsOfARowDoNotDependOnTheOthers) {
    for (std::int64_t const dim : {576, 4096, 77}) {
        Input const in = make(40, dim);
        Result const all = run(in, DType::f32, true, true);
        Input one{1, dim, {}, {}, in.weight};
        auto const begin = static_cast<std::ptrdiff_t>(23 * dim);
        one.x.assign(in.x.begin() + begin, in.x.begin() + begin + dim);
        one.delta.assign(in.delta.begin() + begin, in.delta.begin() + begin + dim);
        Result const alone = run(one, DType::f32, true, true);
        EXPECT_EQ(
            std::memcmp(alone.out.data(), all.out.data() + begin, alone.out.size() * sizeof(float)),
            0);
    }
}

TEST_F(NormCuda, NonFiniteAndHugeRows) {
    for (std::int64_t const dim : {64, 65}) {
        Input in = make(4, dim);
        in.x[static_cast<std::size_t>(dim + 3)] = NAN;
        for (std::int64_t i = 0; i < dim; ++i) {
            in.x[static_cast<std::size_t>(2 * dim + i)] *= 1e25F;  // squares past the range of f32
        }
        Result const expected = reference(in, false);
        Result const got = run(in, DType::f32, false, true);
        for (std::size_t i = 0; i < got.out.size(); ++i) {
            ASSERT_TRUE(agree(got.out[i], expected.out[i], bound(DType::f32, expected.out[i])))
                << i;
        }
    }
}

TEST_F(NormCuda, ConvertRoundsToNearestEven) {
    for (std::int64_t const count : {1, 7, 8, 9, 2048, 5003}) {
        for (std::int64_t const shift : {0, 1}) {
            std::vector<float> values = random_floats(count + shift, next_seed());
            values.back() = NAN;
            values.front() = kInfinity;
            if (count > 7) {
                values[3] = 1.0F + 0x1p-8F;  // a tie
                values[4] = 0x1p-130F;       // subnormal
            }
            device::Buffer const x = put(values);
            for (DType const dtype : {DType::f32, DType::bf16}) {
                device::Buffer const out = poisoned(count * dtype_bytes(dtype));
                convert(exec(), x.as<float>() + shift, count, out.data(), dtype);
                std::vector<float> const got = get_as(dtype, out.data(), count);
                for (std::int64_t i = 0; i < count; ++i) {
                    float const value = values[static_cast<std::size_t>(i + shift)];
                    ASSERT_TRUE(agree(got[static_cast<std::size_t>(i)],
                                      dtype == DType::f32 ? value : to_float(to_bfloat16(value)),
                                      0.0))
                        << count << ' ' << i;
                }
            }
        }
    }
}

TEST_F(NormCuda, SwigluMatchesReference) {
    for (std::int64_t const dim : {1, 7, 8, 24, 576, 1536, 2048, 2056, 14337}) {
        std::int64_t const rows = 5;
        std::vector<float> values = random_floats(rows * 2 * dim, next_seed(), 4.0F);
        values[0] = -200.0F;
        values[static_cast<std::size_t>(dim) - 1] = 200.0F;
        values.back() = NAN;
        values[static_cast<std::size_t>(2 * dim)] = -kInfinity;
        for (DType const in : {DType::f32, DType::bf16}) {
            std::vector<float> rounded = values;
            for (float& value : rounded) {
                value = in == DType::f32 ? value : to_float(to_bfloat16(value));
            }
            std::vector<float> expected(static_cast<std::size_t>(rows * dim));
            swiglu(reference_context(), rounded.data(), rows, dim, expected.data(), DType::f32);
            device::Buffer const gate_up =
                in == DType::f32 ? put(values) : put(to_bfloat16s(values));
            for (DType const dtype : {DType::f32, DType::bf16}) {
                device::Buffer const out = poisoned(rows * dim * dtype_bytes(dtype));
                swiglu(exec(), gate_up.data(), rows, dim, out.data(), dtype, in);
                std::vector<float> const got = get_as(dtype, out.data(), rows * dim);
                for (std::size_t i = 0; i < got.size(); ++i) {
                    ASSERT_TRUE(agree(got[i], expected[i], 2 * bound(dtype, expected[i]) + 1e-37))
                        << "dim " << dim << " at " << i << ": " << got[i] << ", not "
                        << expected[i];
                }
            }
        }
    }
}

TEST_F(NormCuda, NoRowsIsFine) {
    residual_rms_norm(exec(), {});
    convert(exec(), nullptr, 0, nullptr, DType::bf16);
    swiglu(exec(), nullptr, 0, 8, nullptr, DType::f32);
}

}  // namespace
}  // namespace longhaul::kernels::test
