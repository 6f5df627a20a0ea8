#include "engine/step_channel.hpp"

#include "base/bytes.hpp"
#include "base/error.hpp"

#include <algorithm>
#include <utility>

namespace longhaul::engine {
namespace {

constexpr int kInputsTag = 1;
constexpr int kOutcomeTag = 2;
constexpr int kEpochTag = 3;
constexpr int kLoadTag = 4;

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

bool StepChannel::has_inputs() {
    if (!is_leader() && own_inputs_.empty()) {
        if (std::optional<comm::Message> const message = control_.try_receive(0, kInputsTag)) {
            own_inputs_.push_back(schedule::StepInputs::deserialize(message->data));
        }
    }
    return !own_inputs_.empty();
}

schedule::StepInputs StepChannel::take_inputs(StepIndex step) {
    LH_EXPECT(!own_inputs_.empty());
    schedule::StepInputs inputs = std::move(own_inputs_.front());
    own_inputs_.pop_front();
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
    send_to_leader(outcome.serialize(), kOutcomeTag);
}

void StepChannel::send_to_leader(std::vector<std::byte> data, int tag) {
    PendingSend& send = sends_.emplace_back();
    send.data = std::move(data);
    send.requests.push_back(control_.isend(send.data, 0, tag));
}

void StepChannel::report(EpochReport const& report) {
    LH_EXPECT(!is_leader());
    send_to_leader(report.serialize(), kEpochTag);
}

void StepChannel::report(LoadReport const& report) {
    LH_EXPECT(!is_leader());
    ByteWriter out;
    out.put(report);
    send_to_leader(out.take(), kLoadTag);
}

std::optional<EpochReport> StepChannel::poll_epoch_report() {
    if (control_.size() == 1) {
        return std::nullopt;
    }
    std::optional<comm::Message> const message = control_.try_receive(comm::kAnySource, kEpochTag);
    return message ? std::optional(EpochReport::deserialize(message->data)) : std::nullopt;
}

std::optional<LoadReport> StepChannel::poll_load_report() {
    if (control_.size() == 1) {
        return std::nullopt;
    }
    std::optional<comm::Message> const message = control_.try_receive(comm::kAnySource, kLoadTag);
    return message ? std::optional(ByteReader(message->data).get<LoadReport>()) : std::nullopt;
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
