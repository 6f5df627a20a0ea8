#pragma once

#include "base/types.hpp"
#include "schedule/block_table.hpp"
#include "kernels/exec_context.hpp"
#include "model/partition.hpp"
#include "engine/run_options.hpp"

#include <cstdint>
#include <filesystem>
#include <string>

namespace longhaul::test {

/// How a queue is run: grid, scheduling and numbers.
struct EngineCase {
    std::int64_t replicas = 1;
    std::int64_t spp = 1;
    std::int64_t kvp = 1;
    std::int64_t tp = 1;
    std::int64_t chunk = 512;
    std::int64_t max_batch = 1;
    std::int64_t block_slots = 64;
    schedule::KvPolicy kv_policy = schedule::KvPolicy::automatic;
    model::WeightStorage kvp_weights = model::WeightStorage::sharded;
    DType dtype = DType::f32;
    kernels::Backend backend = kernels::Backend::cpu;
    bool deterministic = false;
    std::int64_t kv_bytes = std::int64_t{8} << 20;
    std::filesystem::path kv_store;                          ///< empty: none
    std::int64_t checkpoint_buffer = std::int64_t{1} << 20;  ///< small, so that it fills
    std::int64_t checkpoint_tokens = 0;  ///< an epoch every so many tokens; 0: nothing is saved

    [[nodiscard]] int ranks() const { return static_cast<int>(replicas * spp * kvp * tp); }

    /// One word: for GoogleTest's names too.
    [[nodiscard]] std::string name() const;

    /// With one thread per rank; model, queue and output are the caller's.
    [[nodiscard]] engine::RunOptions options() const;
};

/// One rank, serial kernels, one job at a time, prompts in one piece: what every layout is compared with.
[[nodiscard]] EngineCase baseline_case();

}  // namespace longhaul::test
