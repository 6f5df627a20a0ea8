#pragma once

#include "base/stream.hpp"
#include "comm/communicator.hpp"

#include <cstdint>
#include <span>

namespace longhaul::comm::detail {

/// Elements of scratch that ordered_sum() needs.
[[nodiscard]] std::int64_t ordered_sum_scratch(std::int64_t count, int ranks);
/// The same for any sum of up to `count` elements: a shorter one, uneven or gathered whole, may need more than a longer one.
[[nodiscard]] std::int64_t ordered_sum_scratch_up_to(std::int64_t count, int ranks);

/// all_reduce_sum() in rank order, made of the group's all_gather and all_to_all: short messages are gathered and added by
/// everyone; of longer ones rank r adds piece r and passes the sum on. For transports whose own sum promises no order.
///
/// Collective; `data` and `scratch` lie in the memory of the stream's device.
void ordered_sum(Communicator& group, std::span<float> data, std::span<float> scratch,
                 StreamView stream);

}  // namespace longhaul::comm::detail
