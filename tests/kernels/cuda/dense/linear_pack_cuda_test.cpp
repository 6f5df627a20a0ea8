#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/dense/cuda_support.hpp"

namespace longhaul::kernels::test {
namespace {

using LinearPackCuda = CudaTest;

TEST_F(LinearPackCuda, IsRowMajorAndRoundedOnce) {
    for (DType const dtype : {DType::f32, DType::bf16}) {
        for (std::int64_t const gap : {0, 3}) {
            // The second one takes several pieces, the last of them short.
            for (auto const& [n, k] : std::vector<std::pair<std::int64_t, std::int64_t>>{
                     {3, 5}, {2051, 2049}, {1, 3'000'001}}) {
                std::int64_t const ld = k + gap;
                std::vector<float> const weight = uniform_floats(n * ld, next_seed());
                LinearWeight const packed =
                    LinearWeight::pack(exec(), weight.data(), n, k, ld, dtype);
                ASSERT_EQ(packed.bytes(), n * k * dtype_bytes(dtype));
                std::vector<float> const got =
                    get_as(dtype, packed.impl().device_bytes.data(), n * k);
                for (std::int64_t i = 0; i < n * k; ++i) {
                    float const value = weight[static_cast<std::size_t>(i / k * ld + i % k)];
                    ASSERT_EQ(got[static_cast<std::size_t>(i)],
                              dtype == DType::f32 ? value : to_float(to_bfloat16(value)))
                        << n << ' ' << k << ' ' << i;
                }
            }
        }
    }
}

/// Offsets past 2^31 elements: the last rows of a matrix of more than 4 GiB.
TEST_F(LinearPackCuda, WeightsPast2To31Elements) {
    constexpr std::int64_t kRows = 262'208;
    constexpr std::int64_t kColumns = 8192;
    static_assert(kRows * kColumns > (std::int64_t{1} << 31));
    if (gpu().free_bytes() < (std::int64_t{6} << 30)) {
        GTEST_SKIP() << "less than 6 GiB of device memory free";
    }
    LinearWeight::Impl impl;
    impl.backend = Backend::cuda;
    impl.dtype = DType::bf16;
    impl.n = kRows;
    impl.k = kColumns;
    impl.device_bytes = device::Buffer(&gpu(), kRows * kColumns * 2);
    device::fill_zero(&gpu(), impl.device_bytes.data(), impl.device_bytes.bytes());
    std::vector<float> const row = random_floats(kColumns, next_seed());
    std::vector<BFloat16> const rounded = to_bfloat16s(row);
    std::int64_t const last = (kRows - 1) * kColumns * 2;
    device::upload(&gpu(), impl.device_bytes.data() + last, rounded.data(), kColumns * 2);
    double exact = 0.0;
    for (BFloat16 const value : rounded) {
        exact += static_cast<double>(to_float(value)) * to_float(value);
    }
    for (std::int64_t const m : {1, 16, 20}) {
        std::vector<BFloat16> a;
        for (std::int64_t i = 0; i < m; ++i) {
            a.insert(a.end(), rounded.begin(), rounded.end());
        }
        device::Buffer const on_gpu = put(a);
        device::Buffer const c(&gpu(), m * kRows * 4);
        cuda::linear(exec(), on_gpu.data(), m, impl, c.data(), DType::f32);
        std::vector<float> const end = get<float>(c.data() + ((m - 1) * kRows + kRows - 3) * 4, 3);
        EXPECT_EQ(end[0], 0.0F);
        EXPECT_EQ(end[1], 0.0F);
        EXPECT_NEAR(end[2], exact, 1e-4 * exact) << m;
    }
}

}  // namespace
}  // namespace longhaul::kernels::test
