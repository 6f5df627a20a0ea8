#pragma once

#include <string>
#include <vector>

namespace longhaul::app {

/// `longhaul bench comm ...`: starts MPI and measures messages between all ranks, over what `longhaul run` would take. Returns
/// the exit code: 2 where the ranks cannot be set up, 3 where a message arrives wrong.
[[nodiscard]] int bench_comm_command(std::vector<std::string> const& words);

}  // namespace longhaul::app
