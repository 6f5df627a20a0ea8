#pragma once

#include "comm/mpi_runtime.hpp"

#include <functional>

namespace longhaul::app {

/// Starts MPI, runs `body` on this rank and ends MPI. Returns the body's exit code, or 2 where the set-up failed: `body` throws
/// SetupFailed on all ranks alike, and one of them speaks. Other exceptions leave the process without ending MPI in order.
[[nodiscard]] int run_with_mpi(std::function<int(comm::MpiRuntime&)> const& body);

}  // namespace longhaul::app
