#pragma once

#include "comm/communicator.hpp"
#include "comm/mpi_runtime.hpp"
#include "schedule/step_plan.hpp"
#include "engine/run_options.hpp"
#include "report/progress_meter.hpp"
#include "report/summary_table.hpp"

#include <functional>
#include <string>

namespace longhaul::engine {

/// How a run talks to its user. Called on world rank 0 only, unless said otherwise; `progress` from the server's thread.
struct RunObserver {
    std::function<void(std::string const&)> info;  ///< what was chosen and why, before the start
    std::function<void(report::ProgressCounters const&)> progress;  ///< a few times a second
    std::function<void(report::ProgressCounters const&, report::RunSummary const&)> finished;
    /// Called on every rank when it begins a step that has rows, before its first layer (tracing).
    std::function<void(schedule::StepPlan const&)> step_begun;
    /// Asked often on every rank, from several threads: whether this process was told to stop (a signal).
    std::function<bool()> stop_requested;
};

/// The main job: reads the queue, runs every job through the model on the process grid, appends one result per job.
///
/// Collective  over `world`; `node` says where this rank runs
/// Returns     the exit code, equal on all ranks: 0 all jobs done, 1 some jobs failed, 75 stopped early and saved: the same
///             command, on any grid, goes on
/// Errors      SetupFailed, the same on all ranks, before any job ran. Any later exception is fatal for the whole run and is
///             not caught here (lib/README.md, error policy).
[[nodiscard]] int run(comm::Communicator& world, comm::NodeInfo const& node,
                      RunOptions const& options, RunObserver const& observer);

}  // namespace longhaul::engine
