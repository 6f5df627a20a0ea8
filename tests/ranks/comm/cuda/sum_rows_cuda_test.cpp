#include "device/sum_rows.hpp"
#include "comm/reduce.hpp"
#include "ranks/comm/cuda/cuda_comm_support.hpp"
#include "ranks/comm/test_data.hpp"

#include <cstddef>
#include <cstdint>

namespace longhaul::comm {
namespace {

class SumRowsTest : public CudaCommTest {};

std::vector<float> serial_sum(std::vector<float> const& rows, std::size_t stride, int num_rows,
                              std::size_t count) {
    std::vector<float const*> pointers;
    for (int row = 0; row < num_rows; ++row) {
        pointers.push_back(rows.data() + static_cast<std::size_t>(row) * stride);
    }
    std::vector<float> sum(count);
    detail::sum_in_rank_order(pointers, sum);
    return sum;
}

TEST_F(SumRowsTest, HasTheBitsOfTheSerialSum) {
    device::Gpu const gpu(0);
    for (std::size_t const count : {0, 1, 3, 4, 5, 1023, 4096, 100'003, 3 << 20}) {
        auto const many = random_floats(8 * (count + 4), 0);
        for (int const num_rows : {1, 2, 3, 8}) {
            for (std::size_t const padding : {0, 1, 4}) {
                std::size_t const stride = count + padding;
                std::vector<float> const rows(
                    many.begin(), many.begin() + static_cast<std::ptrdiff_t>(stride) * num_rows);
                OnGpu<float> const on_gpu(gpu, rows);
                OnGpu<float> const out(gpu, count);

                device::sum_rows(on_gpu.span().data(), static_cast<std::int64_t>(stride), num_rows,
                                 out.span().data(), static_cast<std::int64_t>(count), gpu.stream());

                EXPECT_EQ(bits_of(out.values()), bits_of(serial_sum(rows, stride, num_rows, count)))
                    << count << " elements, " << num_rows << " rows " << stride << " apart, seed "
                    << kSeed;
            }
        }
    }
}

TEST_F(SumRowsTest, TakesMemoryThatIsNotAligned) {
    device::Gpu const gpu(0);
    constexpr std::size_t kCount = 1024;
    auto const rows = random_floats(3 * kCount + 1, 0);
    OnGpu<float> const on_gpu(gpu, rows);
    OnGpu<float> const out(gpu, kCount + 2);

    device::sum_rows(on_gpu.span().data() + 1, kCount, 3, out.span().data() + 1, kCount,
                     gpu.stream());

    auto const expected = serial_sum({rows.begin() + 1, rows.end()}, kCount, 3, kCount);
    auto const got = bits_of(out.values());
    EXPECT_EQ(std::vector(got.begin() + 1, got.end() - 1), bits_of(expected));
    EXPECT_EQ(got.front(), 0xffffffffU) << "wrote before its place";
    EXPECT_EQ(got.back(), 0xffffffffU) << "wrote behind its place";
}

}  // namespace
}  // namespace longhaul::comm
