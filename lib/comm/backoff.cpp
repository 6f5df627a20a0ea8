#include "comm/backoff.hpp"

#include <sched.h>
#include <sys/prctl.h>
#include <algorithm>
#include <thread>

namespace longhaul::comm {
namespace {

// A thread's timers may fire up to 50 us late by default, ten times the shortest sleep.
void sharpen_timers() {
    constexpr unsigned long kSlackNs = 1000;
    thread_local bool const done = ::prctl(PR_SET_TIMERSLACK, kSlackNs, 0UL, 0UL, 0UL) == 0;
    static_cast<void>(done);
}

}  // namespace

BackoffPolicy backoff_policy(int ranks, int cores) {
    BackoffPolicy policy;
    if (ranks <= cores) {
        policy.spins = 2000;
        policy.yields = 200;
    } else {
        policy.spins = 0;
        policy.yields = 16;
    }
    return policy;
}

std::chrono::microseconds sleep_length(BackoffPolicy const& policy, int round) {
    if (round < policy.spins + policy.yields) {
        return std::chrono::microseconds{0};
    }
    auto length = policy.first_sleep;
    for (int i = policy.spins + policy.yields; i < round && length < policy.longest_sleep; ++i) {
        length += std::max(length / 4, std::chrono::microseconds{1});
    }
    return std::min(length, policy.longest_sleep);
}

void idle(BackoffPolicy const& policy, int round) {
    if (round < policy.spins) {
        return;
    }
    if (round < policy.spins + policy.yields) {
        ::sched_yield();
        return;
    }
    sharpen_timers();
    std::this_thread::sleep_for(sleep_length(policy, round));
}

}  // namespace longhaul::comm
