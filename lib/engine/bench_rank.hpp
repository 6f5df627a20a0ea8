#pragma once

#include "base/types.hpp"
#include "device/gpu.hpp"
#include "comm/communicator.hpp"
#include "comm/process_grid.hpp"
#include "io/model_file.hpp"
#include "schedule/chunk_scheduler.hpp"
#include "kernels/exec_context.hpp"
#include "kv/kv_cache.hpp"
#include "model/weight_shard.hpp"
#include "engine/rank_context.hpp"
#include "engine/rank_engine.hpp"
#include "engine/step_counters.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

namespace longhaul::engine {

/// One rank of a grid whose other ranks are modelled: its share of the work is real, what it would wait for is not.
struct EmulatedRank {
    comm::GridShape grid;
    std::int64_t rank = 0;
    comm::LinkModel link;
};

struct BenchRankOptions {
    std::filesystem::path model;
    std::optional<std::uint64_t> random_weights;  ///< seed, as of `longhaul run`
    DType dtype = DType::bf16;
    kernels::ExecContext exec;  ///< backend and threads; the GPU is opened here
    std::int64_t chunk = 512;
    std::int64_t block_slots = 128;
    std::int64_t sequences = 1;  ///< that are there at a time
    std::int64_t slots = 0;      ///< of the KV cache that each of them needs
    std::optional<EmulatedRank> emulated;
};

/// One rank that runs steps as `longhaul run` does, with its scheduler, its layers and its memory, but without a queue, an output
/// folder or checkpoints: for measurements. Tokens that a step chooses are fed in the next one; nothing ends by itself. In an
/// emulated pipeline, a stage before the last one invents them.
class BenchRank {
  public:
    /// `world` is a loopback of one rank. Throws ValidationError or SetupFailed with the remedy when the model cannot be opened
    /// or does not fit.
    BenchRank(comm::Communicator& world, BenchRankOptions const& options);
    BenchRank(BenchRank const&) = delete;
    BenchRank& operator=(BenchRank const&) = delete;

    [[nodiscard]] ModelConfig const& config() const { return file_->config(); }
    [[nodiscard]] comm::ProcessGrid const& grid() const { return grid_; }
    [[nodiscard]] model::Partition const& partition() const { return weights_.partition; }
    [[nodiscard]] StepCounters const& counters() const { return counters_; }

    [[nodiscard]] bool on_gpu() const { return gpu_ != nullptr; }

    /// Random bf16 or f32 numbers of small norm for every block: what a sequence finds that is taken to be loaded.
    void fill_kv(std::uint64_t seed);

    /// From the next step on a sequence of `length` random tokens is there, of which the first `loaded` need no computing.
    void admit(SequenceId id, std::int64_t length, std::int64_t max_new_tokens,
               std::int64_t loaded);
    void end(SequenceId id);

    /// What a step ran. It is done when it chose tokens; without, its work may still be in the GPU's stream.
    struct Step {
        std::int64_t rows = 0;
        std::int64_t tokens = 0;  ///< that were chosen
    };
    /// Throws ValidationError when a logit is not finite: such a measurement would mean nothing.
    Step step();

    /// Until the GPU has done everything.
    void wait() const;

    /// While it is on, counters().part_s tells on a GPU, too, where the time of the steps goes; each step then waits for its end.
    void watch_parts(bool on);

  private:
    void reserve_kv(BenchRankOptions const& options);
    void take(schedule::StepPlan const& plan, std::optional<StepOutcome> const& outcome,
              Step& done);

    std::unique_ptr<device::Gpu> gpu_;
    std::unique_ptr<io::ModelFile> file_;
    kernels::ExecContext exec_;
    comm::ProcessGrid grid_;
    model::WeightShard weights_;
    std::unique_ptr<kv::KvCache> kv_;
    std::optional<schedule::ChunkScheduler> scheduler_;
    StepCounters counters_;
    std::optional<device::StreamClock> clock_;
    std::optional<RankContext> context_;
    std::optional<RankEngine> engine_;
    schedule::StepInputs inputs_;  // of the next step
    StepIndex next_ = 0;
};

}  // namespace longhaul::engine
