#pragma once

#include "text/tokenizer.hpp"
#include "io/result.hpp"
#include "schedule/step_inputs.hpp"
#include "schedule/step_plan.hpp"
#include "engine/job_link.hpp"
#include "engine/live_job.hpp"
#include "engine/prepared_job.hpp"
#include "engine/step_channel.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

namespace longhaul::engine {

/// Runs on the first rank of a replica beside its engine: pulls jobs, decides when a sequence stops, hands in results, and
/// makes the StepInputs of every step.
///
/// Step j is published, in order, when
///   plan j has rows:  its outcome has arrived from the last stage
///   plan j is empty:  at once while jobs run; while none runs, when there is a job to announce or the queue has ended
/// so an idle replica holds its step loop instead of spinning through empty steps.
class ReplicaLeader {
  public:
    struct Options {
        std::int64_t max_batch = 8;
        std::int64_t chunk = 512;
        std::int64_t prefetch = 2;  ///< jobs prepared beyond those that run
        std::vector<TokenId> eos_tokens;
        io::GridInfo grid;
    };

    ReplicaLeader(Options options, StepChannel& channel, JobLink& link, PrepareThread& prepare,
                  text::Tokenizer const& tokenizer);

    /// The scheduler made the plan of the next step.
    void planned(schedule::StepPlan const& plan);

    /// Handles whatever has arrived and publishes what can be published; never waits. Called between layers and while
    /// waiting.
    void poll();

    [[nodiscard]] bool has_published(StepIndex step) const { return step < next_publish_; }

    /// Tells the server that this replica is done. Call after the step loop.
    void say_goodbye();

  private:
    void pull_jobs();
    void handle_link();
    void handle_prepared();
    void handle_outcomes();
    void handle_sample(SampleOutcome const& sample, schedule::StepInputs& inputs);
    void handle_scores(ScoreOutcome const& score, schedule::StepInputs& inputs);
    void finish_job(SequenceId id);
    void fail_job(SequenceId id, schedule::StepInputs& inputs);
    void send_result(io::JobResult const& result);
    void publish_ready();
    void announce_jobs(schedule::StepInputs& inputs);
    void send_stats();
    void count_phases();
    [[nodiscard]] bool can_publish() const;
    [[nodiscard]] bool finished() const;

    Options options_;
    StepChannel& channel_;
    JobLink& link_;
    PrepareThread& prepare_;
    text::Tokenizer const& tokenizer_;

    std::int64_t open_pulls_ = 0;
    std::int64_t unacknowledged_ = 0;
    bool queue_ended_ = false;
    std::deque<PreparedJob> ready_;
    std::map<SequenceId, LiveJob> live_;
    SequenceId next_id_ = 0;

    struct PlannedStep {
        bool empty = true;
        bool outcome_known = false;
        std::int64_t prefill_rows = 0;
        schedule::StepInputs inputs;
    };
    std::deque<PlannedStep> planned_;  // steps next_publish_, next_publish_ + 1, ...
    StepIndex next_publish_ = 0;
    bool end_published_ = false;

    LinkStats stats_;
    Clock::time_point start_ = Clock::now();
    Clock::time_point last_stats_ = Clock::now();
};

}  // namespace longhaul::engine
