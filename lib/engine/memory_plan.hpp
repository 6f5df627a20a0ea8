#pragma once

#include "base/model_config.hpp"
#include "device/gpu.hpp"
#include "comm/process_grid.hpp"
#include "kernels/kv_layout.hpp"
#include "model/partition.hpp"
#include "engine/run_options.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace longhaul::engine {

/// Bytes one rank is going to need, and the KV blocks its memory has room for.
struct RankMemory {
    std::int64_t budget = 0;  ///< of the node's or the GPU's memory, divided by its ranks
    std::int64_t weights = 0;
    std::int64_t workspace = 0;          ///< with the checkpoint buffer, unless a GPU computes
    std::int64_t checkpoint_buffer = 0;  ///< of the host, for KV cache that waits to be written
    std::int64_t bytes_per_block = 0;
    std::int64_t kv_blocks = 0;  ///< what fits here
};

/// What the ranks of a replica agreed on.
struct MemoryPlan {
    RankMemory mine;
    std::vector<std::int64_t>
        capacity;  ///< KV blocks per KVP coordinate: the minimum over stages and tp
    std::vector<RankMemory> ranks;  ///< of all ranks of the world, in rank order
    std::string source;             ///< which limit bounds the node's memory

    [[nodiscard]] std::int64_t kv_slots(std::int64_t block_slots) const;
};

[[nodiscard]] kernels::KvLayout kv_layout(ModelConfig const& config,
                                          model::Partition const& partition,
                                          RunOptions const& options);

/// What one rank may use of the memory that the backend computes in, and what bounds it.
struct MemoryBudget {
    std::int64_t bytes = 0;
    std::int64_t reserve = 0;  ///< of it, for what no plan counts
    std::string source;
    std::int64_t host_bytes = 0;  ///< its share of the node's memory, whatever computes
};
[[nodiscard]] MemoryBudget host_budget(int local_ranks);
/// Of what the GPU has free once every rank on it has opened it.
[[nodiscard]] MemoryBudget gpu_budget(device::Gpu const& gpu, int ranks_on_it, int local_ranks);

/// Of a GPU, for the longest sum over a stage (at most twice its length): no plan counts it.
[[nodiscard]] std::int64_t stage_sum_bytes(ModelConfig const& config, RunOptions const& options);

/// Collective over the world. Throws SetupFailed on all ranks, with the remedy, when weights, workspace and a minimal KV
/// cache do not fit some rank.
[[nodiscard]] MemoryPlan plan_memory(comm::ProcessGrid& grid, ModelConfig const& config,
                                     model::Partition const& partition, RunOptions const& options,
                                     MemoryBudget const& budget);

/// The plan as lines for the user: one per rank, or the heaviest rank only in large runs.
[[nodiscard]] std::string describe(MemoryPlan const& plan, comm::GridShape const& shape,
                                   std::int64_t block_slots);

}  // namespace longhaul::engine
