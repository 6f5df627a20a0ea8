#include "app/stop_signals.hpp"

#include <unistd.h>
#include <atomic>
#include <csignal>

namespace longhaul::app {
namespace {

constexpr int kExitInterrupted = 130;

std::atomic<bool> g_requested = false;
std::atomic<bool> g_interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);  // used in a signal handler

void handle(int signal) {
    if (signal == SIGINT && g_interrupted.exchange(true)) {
        ::_exit(kExitInterrupted);
    }
    g_requested = true;
}

}  // namespace

void install_stop_signals() {
    struct sigaction action {};
    action.sa_handler = handle;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigset_t stopping;
    sigemptyset(&stopping);
    for (int const signal : {SIGUSR1, SIGTERM, SIGINT}) {
        ::sigaction(signal, &action, nullptr);
        sigaddset(&stopping, signal);
    }
    // A launcher may have started this process with them blocked: that is inherited.
    ::pthread_sigmask(SIG_UNBLOCK, &stopping, nullptr);
}

bool stop_requested() { return g_requested; }

}  // namespace longhaul::app
