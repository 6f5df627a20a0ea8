#include "comm/reduce.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <array>

namespace longhaul::comm::detail {

void sum_in_rank_order(std::vector<float const*> const& rows, std::span<float> out) {
    // The block stays in the first-level cache while the rows stream past; it also allows `out` to be one of them.
    constexpr std::size_t kBlock = 1024;
    std::array<float, kBlock> sum;
    for (std::size_t begin = 0; begin < out.size(); begin += kBlock) {
        std::size_t const count = std::min(kBlock, out.size() - begin);
        std::copy_n(rows[0] + begin, count, sum.data());
        for (std::size_t row = 1; row < rows.size(); ++row) {
            float const* const values = rows[row] + begin;
            for (std::size_t i = 0; i < count; ++i) {
                sum[i] += values[i];
            }
        }
        std::copy_n(sum.data(), count, out.data() + begin);
    }
}

void reduce_into(std::span<std::int64_t> into, std::span<std::int64_t const> other, ReduceOp op) {
    LH_EXPECT(into.size() == other.size());
    for (std::size_t i = 0; i < into.size(); ++i) {
        switch (op) {
            case ReduceOp::sum:
                into[i] += other[i];
                break;
            case ReduceOp::min:
                into[i] = std::min(into[i], other[i]);
                break;
            case ReduceOp::max:
                into[i] = std::max(into[i], other[i]);
                break;
        }
    }
}

}  // namespace longhaul::comm::detail
