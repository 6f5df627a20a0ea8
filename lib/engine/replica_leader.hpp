#pragma once

#include "text/tokenizer.hpp"
#include "io/result.hpp"
#include "schedule/chunk_scheduler.hpp"
#include "schedule/step_inputs.hpp"
#include "schedule/step_plan.hpp"
#include "engine/checkpoint_reports.hpp"
#include "engine/epoch_keeper.hpp"
#include "engine/job_link.hpp"
#include "engine/live_job.hpp"
#include "engine/prepared_job.hpp"
#include "engine/segment_index.hpp"
#include "engine/step_channel.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace longhaul::engine {

/// Runs on the first rank of a replica beside its engine: pulls jobs, decides when a sequence stops, hands in results, and
/// makes the StepInputs of every step.
///
/// Step j is published, in order, when
///   plan j has rows:  its outcome has arrived from the last stage
///   plan j is empty:  at once while jobs run; while none runs, or all wait for what is being loaded, when there is
///                     something to announce or the queue has ended
/// so an idle replica holds its step loop instead of spinning through empty steps.
class ReplicaLeader {
  public:
    struct Options {
        std::int64_t max_batch = 8;
        std::int64_t chunk = 512;
        std::int64_t prefetch = 2;  ///< jobs prepared beyond those that run
        std::vector<TokenId> eos_tokens;
        io::GridInfo grid;
        std::int64_t block_slots = 128;
        int num_ranks = 1;     ///< of the replica
        std::int64_t lag = 1;  ///< steps in flight
        bool save = false;
        EpochInterval interval;
        bool store = false;                      ///< finished documents go into the KV store
        SegmentIndex const* segments = nullptr;  ///< what is there already
    };

    ReplicaLeader(Options options, StepChannel& channel, JobLink& link, PrepareThread& prepare,
                  text::Tokenizer const& tokenizer);

    /// `scheduler` made the plan of the next step.
    void planned(schedule::StepPlan const& plan, schedule::ChunkScheduler const& scheduler);

    /// Handles whatever has arrived and publishes what can be published; never waits. Called between layers and while
    /// waiting.
    void poll();

    [[nodiscard]] bool has_published(StepIndex step) const { return step < next_publish_; }

    /// A rank of the replica has saved its part of an epoch, or loaded its part of a sequence.
    void add_report(EpochReport report) { epochs_.add_report(std::move(report)); }
    void add_report(LoadReport const& report);

    /// After the last step of a run that was stopped: whether all that is to be kept is on the disk.
    [[nodiscard]] bool all_settled() const {
        return last_outcome_ == last_rows_ && !epochs_.busy() && unacknowledged_.empty();
    }
    [[nodiscard]] bool stopped() const { return stop_published_; }

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
    void send_result(io::JobResult const& result, std::optional<io::SavedSequence> state = {});
    void finish_saved(PreparedJob prepared);
    void begin_epoch(schedule::StepPlan const& plan, schedule::ChunkScheduler const& scheduler);
    void note_document(schedule::Sequence const& sequence, LiveJob& job);
    void store_document(LiveJob& job);
    void capture_state(StepIndex end);
    void hand_on_epochs();
    void announce_epoch(schedule::StepInputs& inputs);
    void announce_loaded(schedule::StepInputs& inputs);
    void publish_ready();
    void announce_jobs(schedule::StepInputs& inputs);
    void send_stats();
    void count_phases();
    [[nodiscard]] bool can_publish() const;
    [[nodiscard]] bool all_wait_for_loads() const;
    [[nodiscard]] bool finished() const;

    Options options_;
    StepChannel& channel_;
    JobLink& link_;
    PrepareThread& prepare_;
    text::Tokenizer const& tokenizer_;

    std::int64_t open_pulls_ = 0;
    /// Results handed in, oldest first; with the state of the sequence, which a manifest has until the result is on the disk.
    std::deque<std::optional<io::SavedSequence>> unacknowledged_;
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

    struct Load {
        std::int64_t wanted = 0;
        std::int64_t prompt_length = 0;
        std::int64_t cut = 0;
        std::int64_t entries = 0;  // of the rank that has least
        int reports = 0;
    };
    [[nodiscard]] std::int64_t resume_point(Load const& load) const;
    std::map<SequenceId, Load> loads_;
    EpochKeeper epochs_;
    std::vector<StoredDocument> documents_;  // prefilled since the last epoch, not in the store
    std::set<std::uint64_t> stored_;         // last keys of those handed on
    std::int64_t tokens_computed_ = 0;
    StepIndex last_rows_ = -1;      // last planned step with rows
    StepIndex last_outcome_ = -1;   // last step whose outcome was handled
    std::int64_t quiet_steps_ = 0;  // published in a row without rows or news
    bool stop_wanted_ = false;
    bool stop_published_ = false;

    LinkStats stats_;
    Clock::time_point start_ = Clock::now();
    Clock::time_point last_stats_ = Clock::now();
};

}  // namespace longhaul::engine
