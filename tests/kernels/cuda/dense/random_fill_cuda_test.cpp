#include "kernels/cuda/dense/cuda_support.hpp"
#include "kernels/linear.hpp"
#include "kernels/random_fill.hpp"

namespace longhaul::kernels::test {
namespace {

using RandomFillCuda = CudaTest;

std::vector<std::byte> on_host(RandomMatrix const& matrix, Range rows, Range cols, DType dtype) {
    std::vector<std::byte> bytes(
        static_cast<std::size_t>(rows.size() * cols.size() * dtype_bytes(dtype)));
    fill_random(reference_context(), matrix, rows, cols, bytes.data(), dtype);
    return bytes;
}

TEST_F(RandomFillCuda, HasTheHostsBits) {
    struct Slice {
        std::int64_t cols;
        Range rows;
        Range part;
    };
    std::int64_t const far = std::int64_t{3} << 40;
    for (Slice const& slice :
         {Slice{1, {0, 1}, {0, 1}}, Slice{77, {3, 60}, {5, 71}}, Slice{4096, {0, 300}, {0, 4096}},
          Slice{4096, {7, 8}, {4095, 4096}}, Slice{14336, {far, far + 100}, {1000, 8000}},
          Slice{64, {0, 40000}, {0, 64}}, Slice{9, {4, 4}, {0, 9}}}) {
        for (DType const dtype : {DType::f32, DType::bf16}) {
            RandomMatrix const matrix = make_random_matrix(next_seed(), 11, slice.cols, 1.0 / 57.0);
            std::vector<std::byte> const expected = on_host(matrix, slice.rows, slice.part, dtype);
            auto const bytes = static_cast<std::int64_t>(expected.size());
            device::Buffer const out = poisoned(bytes);
            fill_random(exec(), matrix, slice.rows, slice.part, out.data(), dtype);
            EXPECT_TRUE(get<std::byte>(out.data(), bytes) == expected)
                << slice.cols << ' ' << slice.rows.begin << ' ' << dtype_name(dtype);
        }
    }
}

TEST_F(RandomFillCuda, AnAdoptedWeightMultipliesAsAPackedOne) {
    std::int64_t const n = 96;
    std::int64_t const k = 72;
    RandomMatrix const matrix = make_random_matrix(next_seed(), 0, k, 0.1);
    std::vector<float> weight(static_cast<std::size_t>(n * k));
    fill_random(reference_context(), matrix, {0, n}, {0, k}, weight.data(), DType::f32);
    for (DType const dtype : {DType::f32, DType::bf16}) {
        device::Buffer rows(&gpu(), n * k * dtype_bytes(dtype));
        fill_random(exec(), matrix, {0, n}, {0, k}, rows.data(), dtype);
        LinearWeight const adopted = LinearWeight::adopt(exec(), std::move(rows), n, k, dtype);
        LinearWeight const packed = LinearWeight::pack(exec(), weight.data(), n, k, k, dtype);
        EXPECT_EQ(adopted.bytes(), packed.bytes());
        for (std::int64_t const m : {1, 5, 40}) {
            device::Buffer const a(&gpu(), m * k * dtype_bytes(dtype));
            fill_random(exec(), make_random_matrix(next_seed(), 0, k, 1.0), {0, m}, {0, k},
                        a.data(), dtype);
            device::Buffer const c = poisoned(m * n * 4);
            device::Buffer const d = poisoned(m * n * 4);
            linear(exec(), a.data(), m, adopted, c.as<float>());
            linear(exec(), a.data(), m, packed, d.as<float>());
            EXPECT_EQ(get<float>(c.data(), m * n), get<float>(d.data(), m * n)) << m;
        }
    }
}

}  // namespace
}  // namespace longhaul::kernels::test
