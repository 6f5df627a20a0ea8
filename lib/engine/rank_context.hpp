#pragma once

#include "device/gpu.hpp"
#include "device/stream_clock.hpp"
#include "comm/process_grid.hpp"
#include "kernels/exec_context.hpp"
#include "kv/kv_cache.hpp"
#include "model/weight_shard.hpp"
#include "engine/step_counters.hpp"

#include <functional>

namespace longhaul::engine {

/// What the parts of one rank's engine work with. Everything is borrowed.
struct RankContext {
    comm::ProcessGrid& grid;
    model::WeightShard const& weights;
    kv::KvCache& kv;
    kernels::ExecContext exec;
    bool deterministic =
        false;  ///< linear layers run one sequence a call, so company cannot change a row's bits
    StepCounters& counters;
    /// Called between layers: lets transfers advance and the leader publish without a thread of its own. Not in decode steps that
    /// run from a graph, which take about a millisecond.
    std::function<void()> between_layers;
    /// For measurements on a GPU: where the time of its stream goes, by StepPart.
    device::StreamClock* clock = nullptr;

    [[nodiscard]] device::Gpu* gpu() const { return exec.gpu; }
    /// Of collectives on the backend's memory.
    [[nodiscard]] StreamView stream() const {
        return exec.gpu != nullptr ? exec.gpu->stream() : StreamView{};
    }
};

}  // namespace longhaul::engine
