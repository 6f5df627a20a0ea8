#pragma once

#include "comm/backoff.hpp"
#include "schedule/chunk_scheduler.hpp"
#include "engine/checkpointer.hpp"
#include "engine/rank_engine.hpp"
#include "engine/replica_leader.hpp"
#include "engine/run_options.hpp"
#include "engine/step_channel.hpp"
#include "engine/step_counters.hpp"

#include <cstdint>
#include <functional>
#include <optional>

namespace longhaul::engine {

/// The parts of one rank's step loop. Everything is borrowed.
struct StepLoop {
    RankEngine& engine;
    schedule::ChunkScheduler& scheduler;
    StepChannel& channel;
    ReplicaLeader* leader = nullptr;       ///< on the first rank of the replica
    Checkpointer* checkpointer = nullptr;  ///< where something is saved or loaded
    StepCounters& counters;
    std::int64_t lag = 1;  ///< steps in flight: spp
    comm::BackoffPolicy backoff;
    std::optional<StepIndex> fail_at;                           ///< rehearsed failure
    std::function<void(schedule::StepPlan const&)> step_begun;  ///< may be empty
    std::function<void()> watch;  ///< called often: looks after signals; may be empty
};

/// Lets transfers, reports and the leader advance; never waits. Called between layers and while waiting.
void let_things_advance(StepLoop& loop);

/// Runs steps until the leader announces the end. Plan k depends only on the inputs of steps <= k - lag, so stage 0 starts
/// step k while later stages still work on k - 1 ... k - lag + 1. Collective over the replica.
void run_steps(StepLoop& loop);

}  // namespace longhaul::engine
