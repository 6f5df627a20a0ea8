#pragma once

#include "engine/run_options.hpp"
#include "engine/run_setup.hpp"
#include "engine/step_counters.hpp"
#include "report/progress_meter.hpp"
#include "report/summary_table.hpp"

#include <string>

namespace longhaul::engine {

/// What OUTPUT/run.json says of a run that came to its end: versions, times, exit code, options, grid, memory of all ranks,
/// timings and counters (of world rank 0).
[[nodiscard]] std::string run_record(RunSetup& setup, RunOptions const& options,
                                     StepCounters const& counters,
                                     report::ProgressCounters const& progress,
                                     report::RunSummary const& summary, double wall_s);

}  // namespace longhaul::engine
