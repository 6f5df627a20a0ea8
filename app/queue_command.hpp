#pragma once

#include <string>
#include <vector>

namespace longhaul::app {

/// `longhaul queue split|merge ...`: cuts a queue over the tasks of a Slurm array and joins their results, without MPI; usable
/// on a login node.
[[nodiscard]] int queue_command(std::vector<std::string> const& words);

}  // namespace longhaul::app
