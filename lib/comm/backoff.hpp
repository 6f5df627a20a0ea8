#pragma once

#include <chrono>

namespace longhaul::comm {

/// How a waiting thread idles between two polls: first it only polls (`spins` rounds), then it gives up its time slice
/// (`yields` rounds), then it sleeps, every sleep a quarter longer than the one before.
///
/// A quarter: the last sleep is then about a fifth of the whole wait, which bounds by how much a waiter can be late.
struct BackoffPolicy {
    int spins = 0;
    int yields = 0;
    std::chrono::microseconds first_sleep{20};
    std::chrono::microseconds longest_sleep{500};
};

/// The policy for a node where `ranks` ranks share `cores` cores. With more ranks than cores a spinning rank steals the core
/// of the rank it waits for, so it does not spin.
[[nodiscard]] BackoffPolicy backoff_policy(int ranks, int cores);

/// Length of the sleep in idle round `round` (from 0); zero while the policy still spins or yields.
[[nodiscard]] std::chrono::microseconds sleep_length(BackoffPolicy const& policy, int round);

/// Idles for round `round` of a wait.
void idle(BackoffPolicy const& policy, int round);

/// Counts the rounds of one wait: `while (!ready()) backoff.pause();`
class Backoff {
  public:
    explicit Backoff(BackoffPolicy policy) : policy_(policy) {}
    void pause() { idle(policy_, round_++); }
    void reset() { round_ = 0; }

  private:
    BackoffPolicy policy_;
    int round_ = 0;
};

}  // namespace longhaul::comm
