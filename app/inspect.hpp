#pragma once

#include <string>
#include <vector>

namespace longhaul::app {

/// `longhaul inspect model|queue|kv PATH ...`: looks at inputs and at KV entries on disk without MPI; usable on a login node.
[[nodiscard]] int inspect_command(std::vector<std::string> const& words);

}  // namespace longhaul::app
