#pragma once

#include "comm/communicator.hpp"
#include "schedule/step_inputs.hpp"
#include "engine/step_outcome.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace longhaul::engine {

/// The two message streams of the step loop inside one replica: StepInputs from the leader (replica rank 0) to all, and
/// StepOutcomes from the last stage to the leader. Nothing here waits for a peer but await_inputs().
class StepChannel {
  public:
    /// `reporter` is the replica rank that reports outcomes: the first rank of the last stage.
    StepChannel(comm::Communicator& control, int reporter);

    [[nodiscard]] bool is_leader() const { return control_.rank() == 0; }
    [[nodiscard]] bool is_reporter() const { return control_.rank() == reporter_; }

    /// Leader: broadcasts without blocking; the leader itself gets the record back from await_inputs too.
    void publish(schedule::StepInputs inputs);

    /// Inputs of one step, asked for in step order. Followers wait; on the leader they must have been published.
    [[nodiscard]] schedule::StepInputs await_inputs(StepIndex step);

    /// Reporter: tells the leader what a step produced.
    void report(StepOutcome outcome);

    /// Leader: the next outcome, if one has arrived.
    [[nodiscard]] std::optional<StepOutcome> poll_outcome();

    /// Lets sends advance and forgets the finished ones.
    void progress();

    /// Waits until everything sent has left.
    void drain();

  private:
    struct PendingSend {
        std::vector<std::byte> data;
        std::vector<comm::Request> requests;
    };

    comm::Communicator& control_;
    int reporter_;
    std::deque<PendingSend> sends_;
    std::deque<schedule::StepInputs> own_inputs_;
    std::deque<StepOutcome> own_outcomes_;
};

}  // namespace longhaul::engine
