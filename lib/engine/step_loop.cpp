#include "engine/step_loop.hpp"

#include <fmt/format.h>

#include <stdexcept>
#include <utility>

namespace longhaul::engine {
namespace {

schedule::StepInputs await_inputs(StepLoop& loop, StepIndex step) {
    ScopedTimer const timer(loop.counters.inputs_wait_s);
    if (loop.leader != nullptr) {
        comm::Backoff backoff(loop.backoff);
        for (;;) {
            loop.leader->poll();
            loop.engine.progress();
            if (loop.leader->has_published(step)) {
                break;
            }
            backoff.pause();
        }
    }
    return loop.channel.await_inputs(step);
}

}  // namespace

void run_steps(StepLoop& loop) {
    ScopedTimer const timer(loop.counters.total_s);
    for (StepIndex step = 0;; ++step) {
        if (step >= loop.lag) {
            schedule::StepInputs const inputs = await_inputs(loop, step - loop.lag);
            if (inputs.end) {
                break;
            }
            loop.scheduler.apply(inputs);
        }
        schedule::StepPlan const plan = loop.scheduler.plan(step);
        if (loop.leader != nullptr) {
            loop.leader->planned(plan);
        }
        if (loop.fail_at && !plan.empty() && step >= *loop.fail_at) {
            throw std::runtime_error(
                fmt::format("rehearsed failure at step {} (--inject-fault)", step));
        }
        if (loop.step_begun && !plan.empty()) {
            loop.step_begun(plan);
        }
        std::optional<StepOutcome> outcome = loop.engine.submit(plan, loop.scheduler);
        if (outcome && loop.channel.is_reporter()) {
            loop.channel.report(std::move(*outcome));
        }
    }
    loop.engine.drain();
    loop.channel.drain();
}

}  // namespace longhaul::engine
