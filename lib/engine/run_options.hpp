#pragma once

#include "base/types.hpp"
#include "schedule/block_table.hpp"
#include "kernels/exec_context.hpp"
#include "model/partition.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace longhaul::engine {

/// A failure to rehearse: `rank` throws when it comes to `step`, or during set-up where step is -1.
struct FaultInjection {
    int rank = 0;
    StepIndex step = -1;
};

/// Everything the user can ask of `longhaul run`. Equal on all ranks.
struct RunOptions {
    std::filesystem::path model;
    std::filesystem::path queue;
    std::filesystem::path output;

    std::optional<std::int64_t> replicas;
    std::optional<std::int64_t> spp;
    std::optional<std::int64_t> kvp;
    std::optional<std::int64_t> tp;

    std::int64_t chunk = 512;
    std::int64_t max_batch = 8;
    std::int64_t block_slots = 128;
    schedule::KvPolicy kv_policy = schedule::KvPolicy::automatic;
    model::WeightStorage kvp_weights = model::WeightStorage::sharded;
    std::optional<std::int64_t>
        kv_bytes;  ///< KV cache per rank; default: what the node's memory leaves

    DType dtype = DType::bf16;
    kernels::Backend backend = kernels::Backend::cpu;
    int threads = 0;  ///< per rank; 0: the node's cores divided by its ranks
    bool deterministic = false;
    bool retry_errors = false;
    std::optional<FaultInjection> inject_fault;

    /// Flat text of all of the above, for comparison between ranks and for run.json.
    [[nodiscard]] std::string describe() const;
};

[[nodiscard]] char const* kv_policy_name(schedule::KvPolicy policy);
[[nodiscard]] char const* weight_storage_name(model::WeightStorage storage);
[[nodiscard]] char const* backend_name(kernels::Backend backend);

}  // namespace longhaul::engine
