#pragma once

#include <string>
#include <vector>

namespace longhaul::app {

/// `longhaul bench attention|gemm|prefill|decode|step ...`: how fast this machine computes what the engine computes, in one
/// process and without MPI. `comm` is bench_comm_command (app/bench_comm.hpp).
[[nodiscard]] int bench_command(std::vector<std::string> const& words);

}  // namespace longhaul::app
