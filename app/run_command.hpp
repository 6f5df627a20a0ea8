#pragma once

#include <string>
#include <vector>

namespace longhaul::app {

/// `longhaul run`: starts MPI, runs the queue, returns the exit code.
[[nodiscard]] int run_command(std::vector<std::string> const& words);

}  // namespace longhaul::app
