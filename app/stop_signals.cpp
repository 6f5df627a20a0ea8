#include "app/stop_signals.hpp"

#include "base/log.hpp"

#include <unistd.h>
#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>

namespace longhaul::app {
namespace {

constexpr int kExitInterrupted = 130;
constexpr std::array kSignals{SIGUSR1, SIGTERM, SIGINT};

std::atomic<bool> g_requested = false;
std::atomic<bool> g_interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);  // used in a signal handler

void handle(int signal) {
    if (signal == SIGINT && g_interrupted.exchange(true)) {
        ::_exit(kExitInterrupted);
    }
    g_requested = true;
}

void install(int signal) {
    struct sigaction action {};
    action.sa_handler = handle;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    ::sigaction(signal, &action, nullptr);
}

// A launcher may have started this process with them blocked, and a library may have blocked them since: threads inherit it.
void unblock() {
    sigset_t stopping;
    sigemptyset(&stopping);
    for (int const signal : kSignals) {
        sigaddset(&stopping, signal);
    }
    ::pthread_sigmask(SIG_UNBLOCK, &stopping, nullptr);
}

// Libraries that are loaded later (MPI's transports, a GPU's runtime) may take a signal for themselves.
void take_back() {
    static std::array<std::atomic<bool>, kSignals.size()> said{};
    for (std::size_t i = 0; i < kSignals.size(); ++i) {
        struct sigaction now {};
        ::sigaction(kSignals[i], nullptr, &now);
        if (now.sa_handler == handle) {
            continue;
        }
        install(kSignals[i]);
        if (!said[i].exchange(true)) {
            log::info("a library had taken signal {}, which asks a run to stop; taken back",
                      kSignals[i]);
        }
    }
    unblock();  // one that waits is delivered here, so not before its handler is back
}

}  // namespace

void install_stop_signals() {
    for (int const signal : kSignals) {
        install(signal);
    }
    unblock();
}

bool stop_requested() {
    // Asked in loops that wait: not at every turn.
    constexpr unsigned kEvery = 16;
    static std::atomic<unsigned> turn = 0;
    if (!g_requested && turn++ % kEvery == 0) {
        take_back();
    }
    return g_requested;
}

}  // namespace longhaul::app
