#pragma once

#include "schedule/step_plan.hpp"

#include <cstdint>
#include <functional>

namespace longhaul::test {

/// What a rank does as it begins a step with rows, when stage 2 of 3 is to be held inside step `held` until stage 0 has
/// begun step held + 2. An engine that drains the pipeline at every step never lets that happen and runs into the timeout.
struct PipelineHold {
    StepIndex held = 0;
    std::function<void()> announce;  ///< on stage 0, once it has begun step held + 2
    std::function<void()>
        wait_for_announce;  ///< on stage 2, inside step `held`; gives up after a time limit

    void stage_0(schedule::StepPlan const& plan) const {
        if (plan.step == held + 2) {
            announce();
        }
    }
    void stage_2(schedule::StepPlan const& plan) const {
        if (plan.step == held) {
            wait_for_announce();
        }
    }
};

}  // namespace longhaul::test
