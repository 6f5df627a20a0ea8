#pragma once

#include "comm/communicator.hpp"

#include <functional>

namespace longhaul::comm {

/// Runs `body` on `ranks` ranks that are threads of this process: for tests, sanitizers and debuggers.
///
/// Returns when all ranks have returned. When one throws, every other rank that communicates throws PeerFailed, and the
/// exception of the first one is rethrown here after all threads have ended. Sends are buffered: done at once.
void run_loopback(int ranks, std::function<void(Communicator& world)> const& body);

}  // namespace longhaul::comm
