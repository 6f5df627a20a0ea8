#pragma once

namespace longhaul::app {

/// From now on SIGUSR1, SIGTERM and the first SIGINT only ask this process to stop; a second SIGINT ends it at once.
void install_stop_signals();

/// Whether one of them has come. Any thread.
[[nodiscard]] bool stop_requested();

}  // namespace longhaul::app
