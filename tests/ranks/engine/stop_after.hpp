#pragma once

#include "support/engine/engine_runner.hpp"

#include <atomic>
#include <memory>

namespace longhaul::test {

inline constexpr int kExitRequeue = 75;

/// Lets a run begin `steps` steps on its rank 0, then asks all of its ranks to stop.
inline ObserverOfRank stop_after(int steps) {
    auto const asked = std::make_shared<std::atomic<bool>>(false);
    return [asked, steps](int rank) {
        engine::RunObserver observer;
        observer.stop_requested = [asked] { return asked->load(); };
        if (rank == 0) {
            observer.step_begun = [asked, left = steps](schedule::StepPlan const&) mutable {
                if (--left <= 0) {
                    *asked = true;
                }
            };
        }
        return observer;
    };
}

}  // namespace longhaul::test
