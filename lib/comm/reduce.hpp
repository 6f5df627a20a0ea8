#pragma once

#include "comm/communicator.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace longhaul::comm::detail {

/// out[i] = ((rows[0][i] + rows[1][i]) + rows[2][i]) + ... in f32. `out` may be one of the rows.
void sum_in_rank_order(std::vector<float const*> const& rows, std::span<float> out);

/// into[i] = into[i] op other[i]
void reduce_into(std::span<std::int64_t> into, std::span<std::int64_t const> other, ReduceOp op);

}  // namespace longhaul::comm::detail
