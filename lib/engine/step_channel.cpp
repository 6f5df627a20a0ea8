#include "engine/step_channel.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <utility>

namespace longhaul::engine {
namespace {

constexpr int kInputsTag = 1;
constexpr int kOutcomeTag = 2;

}  // namespace

StepChannel::StepChannel(comm::Communicator& control, int reporter)
    : control_(control), reporter_(reporter) {}

void StepChannel::publish(schedule::StepInputs inputs) {
    LH_EXPECT(is_leader());
    if (control_.size() > 1) {
        PendingSend& send = sends_.emplace_back();
        send.data = inputs.serialize();
        for (int rank = 1; rank < control_.size(); ++rank) {
            send.requests.push_back(control_.isend(send.data, rank, kInputsTag));
        }
    }
    own_inputs_.push_back(std::move(inputs));
}

schedule::StepInputs StepChannel::await_inputs(StepIndex step) {
    schedule::StepInputs inputs;
    if (is_leader()) {
        LH_EXPECT(!own_inputs_.empty());
        inputs = std::move(own_inputs_.front());
        own_inputs_.pop_front();
    } else {
        inputs = schedule::StepInputs::deserialize(control_.receive(0, kInputsTag).data);
    }
    LH_ASSERT(inputs.step == step);
    return inputs;
}

void StepChannel::report(StepOutcome outcome) {
    LH_EXPECT(is_reporter());
    progress();  // nobody else lets go of what this rank has sent
    if (is_leader()) {
        own_outcomes_.push_back(std::move(outcome));
        return;
    }
    PendingSend& send = sends_.emplace_back();
    send.data = outcome.serialize();
    send.requests.push_back(control_.isend(send.data, 0, kOutcomeTag));
}

std::optional<StepOutcome> StepChannel::poll_outcome() {
    if (is_reporter()) {
        if (own_outcomes_.empty()) {
            return std::nullopt;
        }
        StepOutcome outcome = std::move(own_outcomes_.front());
        own_outcomes_.pop_front();
        return outcome;
    }
    std::optional<comm::Message> const message = control_.try_receive(reporter_, kOutcomeTag);
    return message ? std::optional(StepOutcome::deserialize(message->data)) : std::nullopt;
}

void StepChannel::progress() {
    auto const done = [](PendingSend& send) {
        return std::all_of(send.requests.begin(), send.requests.end(),
                           [](comm::Request& r) { return r.test(); });
    };
    while (!sends_.empty() && done(sends_.front())) {
        sends_.pop_front();
    }
}

void StepChannel::drain() {
    for (PendingSend& send : sends_) {
        for (comm::Request& request : send.requests) {
            request.wait();
        }
    }
    sends_.clear();
}

}  // namespace longhaul::engine
