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

/// A failure to rehearse.
struct FaultInjection {
    enum class Place {
        setup,          ///< `rank` throws during set-up
        step,           ///< `rank` throws when it comes to step `number`
        before_result,  ///< world rank 0 kills itself before it writes its `number`-th result (from 1 on)
        after_result  ///< when the line is on the disk, and nobody knows yet
    };
    int rank = 0;
    Place place = Place::setup;
    std::int64_t number = 0;
};

/// How often a run saves what it has. Neither: never, and an old checkpoint is only read.
struct CheckpointEvery {
    std::optional<double> seconds = 120.0;
    std::optional<std::int64_t> tokens;  ///< computed by a replica

    [[nodiscard]] bool off() const { return !seconds && !tokens; }
};

/// Everything the user can ask of `longhaul run`. Equal on all ranks.
struct RunOptions {
    std::filesystem::path model;
    std::optional<std::uint64_t>
        random_weights;  ///< seed: `model` is a folder with a config.json, its weights are made up
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

    std::optional<std::filesystem::path> checkpoint;  ///< default: OUTPUT/checkpoint
    CheckpointEvery checkpoint_every;
    std::optional<std::int64_t>
        checkpoint_buffer;  ///< bytes per rank; default: 256 MiB, of the host beside a GPU 4 GiB, but
    ///< at most 1/16 of its share of the host's memory
    std::optional<std::filesystem::path> kv_store;  ///< finished prefills are kept there
    bool fresh = false;                             ///< an old checkpoint is removed
    std::optional<double> time_limit_s;             ///< the run saves and ends before

    std::optional<FaultInjection> inject_fault;

    [[nodiscard]] std::filesystem::path checkpoint_folder() const {
        return checkpoint ? *checkpoint : output / "checkpoint";
    }

    /// Whether KV cache is written at all.
    [[nodiscard]] bool saves() const { return !checkpoint_every.off() || kv_store; }

    /// Flat text of all of the above, for comparison between ranks and for run.json.
    [[nodiscard]] std::string describe() const;
};

[[nodiscard]] std::string describe(CheckpointEvery const& every);
[[nodiscard]] char const* kv_policy_name(schedule::KvPolicy policy);
[[nodiscard]] char const* weight_storage_name(model::WeightStorage storage);
[[nodiscard]] char const* backend_name(kernels::Backend backend);

}  // namespace longhaul::engine
