#pragma once

#include "comm/communicator.hpp"
#include "schedule/step_inputs.hpp"
#include "engine/checkpoint_reports.hpp"
#include "engine/step_outcome.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace longhaul::engine {

/// The two message streams of the step loop inside one replica: StepInputs from the leader (replica rank 0) to all, and
/// StepOutcomes from the last stage to the leader; and what all ranks report of checkpoints. Nothing here waits for a peer.
class StepChannel {
  public:
    /// `reporter` is the replica rank that reports outcomes: the first rank of the last stage.
    StepChannel(comm::Communicator& control, int reporter);

    [[nodiscard]] bool is_leader() const { return control_.rank() == 0; }
    [[nodiscard]] bool is_reporter() const { return control_.rank() == reporter_; }

    /// Leader: broadcasts without blocking; the leader itself gets the record back from take_inputs too.
    void publish(schedule::StepInputs inputs);

    /// Inputs of one step, asked for in step order; has_inputs() was true, or on the leader they were published.
    [[nodiscard]] schedule::StepInputs take_inputs(StepIndex step);

    /// Reporter: tells the leader what a step produced.
    void report(StepOutcome outcome);

    /// Leader: the next outcome, if one has arrived.
    [[nodiscard]] std::optional<StepOutcome> poll_outcome();

    /// Every rank but the leader: tells it what was saved or loaded.
    void report(EpochReport const& report);
    void report(LoadReport const& report);

    /// Leader: the next report of another rank, if one has arrived.
    [[nodiscard]] std::optional<EpochReport> poll_epoch_report();
    [[nodiscard]] std::optional<LoadReport> poll_load_report();

    /// Followers: the inputs of the next step, if they have arrived.
    [[nodiscard]] bool has_inputs();

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
    void send_to_leader(std::vector<std::byte> data, int tag);

    std::deque<schedule::StepInputs> own_inputs_;
    std::deque<StepOutcome> own_outcomes_;
};

}  // namespace longhaul::engine
