#pragma once

#include "device/gpu.hpp"
#include "comm/communicator.hpp"
#include "app/bench_report.hpp"

#include <cstdint>
#include <stdexcept>
#include <vector>

namespace longhaul::app {

/// Something else arrived than was sent, or than the sum is.
class WrongMessage : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Times of the collectives and of a message between ranks 0 and 1, a row for each operation and size, in the memory of `gpu`
/// (null: of the host). Sizes are of all pieces together, rounded up to 16 bytes a rank.
///
/// The first message of each is compared with what it should bring, to the bit. Then `repeat` times: a barrier, as many calls
/// as take some milliseconds, the end of the GPU's work; the slowest rank's time counts.
///
/// Collective  over `group`, of two ranks or more, which carries the memory of `gpu`; all get the same rows
/// Errors      on all ranks alike: SetupFailed without room for the messages, WrongMessage
[[nodiscard]] std::vector<BenchRow> bench_messages(comm::Communicator& group,
                                                   device::Gpu const* gpu,
                                                   std::vector<std::int64_t> const& sizes,
                                                   int repeat);

}  // namespace longhaul::app
