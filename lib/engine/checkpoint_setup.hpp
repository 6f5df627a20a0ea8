#pragma once

#include "engine/run.hpp"
#include "engine/run_setup.hpp"

namespace longhaul::engine {

/// Opens the checkpoint of an earlier run, where there is one, and prepares the saving of this one: fills `checkpoint`,
/// `checkpointer` and `segments` of the set-up. Collective over the world, after output and KV cache exist.
/// Errors      SetupFailed: the checkpoint is of another model, dtype or template, or its folder cannot be used
void open_checkpoint(RunSetup& setup, RunOptions const& options, RunObserver const& observer);

}  // namespace longhaul::engine
