#pragma once

#include <string>
#include <vector>

namespace longhaul::app {

/// `longhaul inspect model|queue PATH [--json]`: looks at inputs without MPI; usable on a login node.
[[nodiscard]] int inspect_command(std::vector<std::string> const& words);

}  // namespace longhaul::app
