#include "engine/step_loop.hpp"

#include <fmt/format.h>

#include <stdexcept>
#include <utility>

namespace longhaul::engine {
namespace {

void pass_reports_on(StepLoop& loop) {
    if (loop.checkpointer != nullptr) {
        while (std::optional<EpochReport> report = loop.checkpointer->poll_epoch()) {
            if (loop.leader != nullptr) {
                loop.leader->add_report(std::move(*report));
            } else {
                loop.channel.report(*report);
            }
        }
        while (std::optional<LoadReport> const report = loop.checkpointer->poll_load()) {
            if (loop.leader != nullptr) {
                loop.leader->add_report(*report);
            } else {
                loop.channel.report(*report);
            }
        }
    }
    if (loop.leader != nullptr) {
        while (std::optional<EpochReport> report = loop.channel.poll_epoch_report()) {
            loop.leader->add_report(std::move(*report));
        }
        while (std::optional<LoadReport> const report = loop.channel.poll_load_report()) {
            loop.leader->add_report(*report);
        }
    }
}

schedule::StepInputs await_inputs(StepLoop& loop, StepIndex step) {
    ScopedTimer const timer(loop.counters.inputs_wait_s);
    comm::Backoff backoff(loop.backoff);
    for (;;) {
        let_things_advance(loop);
        if (loop.leader != nullptr ? loop.leader->has_published(step) : loop.channel.has_inputs()) {
            return loop.channel.take_inputs(step);
        }
        backoff.pause();
    }
}

// The last step of a run that is stopped: what it left is on the disk, and the leader knows, before this rank goes.
void await_settled(StepLoop& loop) {
    comm::Backoff backoff(loop.backoff);
    for (;;) {
        let_things_advance(loop);
        bool const saved = loop.checkpointer == nullptr || !loop.checkpointer->epoch_pending();
        if (saved && (loop.leader == nullptr || loop.leader->all_settled())) {
            return;
        }
        backoff.pause();
    }
}

}  // namespace

void let_things_advance(StepLoop& loop) {
    loop.engine.progress();
    pass_reports_on(loop);
    if (loop.leader != nullptr) {
        loop.leader->poll();
    } else {
        loop.channel.progress();
    }
    if (loop.watch) {
        loop.watch();
    }
}

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
            loop.leader->planned(plan, loop.scheduler);
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
        if (loop.checkpointer != nullptr) {
            loop.checkpointer->step_done(plan, loop.scheduler);
        }
        if (plan.last) {
            await_settled(loop);
            break;
        }
    }
    loop.engine.drain();
    loop.channel.drain();
    if (loop.checkpointer != nullptr) {
        loop.checkpointer->close();
    }
}

}  // namespace longhaul::engine
