#pragma once

#include <cstdint>
#include <string>

namespace longhaul::engine {

/// How much memory the ranks of this node may use together, and which limit says so.
struct NodeMemory {
    std::int64_t bytes = 0;
    std::string source;  ///< "free memory", "cgroup", "Slurm"
};

/// The least of: available memory (/proc/meminfo), the cgroup's limit minus its use (v1 and v2), SLURM_MEM_PER_NODE.
[[nodiscard]] NodeMemory node_memory();

}  // namespace longhaul::engine
