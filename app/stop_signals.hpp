#pragma once

namespace longhaul::app {

/// From now on SIGUSR1, SIGTERM and the first SIGINT only ask this process to stop; a second SIGINT ends it at once.
///
/// Libraries that are loaded later (MPI's transports, a GPU's runtime) may take a signal for themselves, say to wake a thread of
/// theirs. stop_requested() takes it back; what such a library sends to itself still reaches its handler, and asks for nothing.
void install_stop_signals();

/// Whether one of them has come. Any thread.
[[nodiscard]] bool stop_requested();

/// Gives signals that were taken back to the libraries' handlers, for their own ends. Nothing is asked any more.
void release_stop_signals();

}  // namespace longhaul::app
