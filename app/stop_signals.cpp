#include "app/stop_signals.hpp"

#include "base/log.hpp"

#include <unistd.h>
#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <mutex>
#include <optional>

namespace longhaul::app {
namespace {

constexpr int kExitInterrupted = 130;
constexpr std::array kSignals{SIGUSR1, SIGTERM, SIGINT};

using Handler = void (*)(int);

std::atomic<bool> g_requested = false;
std::atomic<bool> g_interrupted = false;
std::atomic<bool> g_released = false;
/// What a library had installed where we took a signal back, SIG_DFL elsewhere: for signals that it sends to itself.
std::array<std::atomic<Handler>, kSignals.size()> g_theirs{};
static_assert(std::atomic<bool>::is_always_lock_free &&
              std::atomic<Handler>::is_always_lock_free);  // used in a signal handler

/// The same, whole, to be given back.
std::array<std::optional<struct sigaction>, kSignals.size()> g_taken{};  // guarded by g_taking
std::mutex g_taking;

// `info` says who sent it: a library that wakes its thread uses pthread_kill.
void handle(int signal, siginfo_t* info, void* /*context*/) {
    for (std::size_t i = 0; i < kSignals.size(); ++i) {
        Handler const theirs = kSignals[i] == signal ? g_theirs[i].load() : SIG_DFL;
        if (theirs != SIG_DFL && info->si_code == SI_TKILL && info->si_pid == ::getpid()) {
            if (theirs != SIG_IGN) {
                theirs(signal);
            }
            return;
        }
    }
    if (signal == SIGINT && g_interrupted.exchange(true)) {
        ::_exit(kExitInterrupted);
    }
    g_requested = true;
}

void install(int signal) {
    struct sigaction action {};
    action.sa_sigaction = handle;
    action.sa_flags = SA_RESTART | SA_SIGINFO;
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

bool is_ours(struct sigaction const& action) {
    return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == handle;
}

void take_back() {
    std::scoped_lock const lock(g_taking);
    for (std::size_t i = 0; i < kSignals.size() && !g_released; ++i) {
        struct sigaction now {};
        ::sigaction(kSignals[i], nullptr, &now);
        if (is_ours(now)) {
            continue;
        }
        // A handler of three arguments is left out: to wake a thread, the signal is enough.
        g_theirs[i] = (now.sa_flags & SA_SIGINFO) != 0 ? SIG_IGN : now.sa_handler;
        if (!g_taken[i]) {
            log::info("a library had taken signal {}, which asks a run to stop; taken back",
                      kSignals[i]);
        }
        g_taken[i] = now;
        install(kSignals[i]);
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
    if (!g_requested && !g_released && turn++ % kEvery == 0) {
        take_back();
    }
    return g_requested;
}

void release_stop_signals() {
    std::scoped_lock const lock(g_taking);
    g_released = true;
    for (std::size_t i = 0; i < kSignals.size(); ++i) {
        if (g_taken[i]) {
            ::sigaction(kSignals[i], &*g_taken[i], nullptr);
        }
    }
}

}  // namespace longhaul::app
