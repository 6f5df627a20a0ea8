#pragma once

#include "base/block_key.hpp"
#include "text/tokenizer.hpp"
#include "io/manifest.hpp"
#include "io/result.hpp"
#include "schedule/step_inputs.hpp"
#include "schedule/step_plan.hpp"
#include "engine/prepared_job.hpp"
#include "engine/step_outcome.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace longhaul::engine {

using Clock = std::chrono::steady_clock;

/// A document whose KV is complete on the disk with an epoch: an entry of the KV store is made of it.
struct StoredDocument {
    std::string name;  ///< of the job, for people
    std::vector<BlockKey> keys;
};

/// A job that runs, as the leader follows it: what was generated so far, when, and whether it ends.
class LiveJob {
  public:
    LiveJob(PreparedJob prepared, std::vector<TokenId> eos_tokens);

    /// A step with entries of this job was planned.
    void planned(schedule::PlanItem const& item, Clock::time_point now);

    /// A token was chosen; returns whether the job ends with it.
    [[nodiscard]] schedule::EndReason add_token(SampleOutcome const& sample, Clock::time_point now);

    /// Log-probabilities of prompt tokens arrived; `scored` when these were the last.
    [[nodiscard]] schedule::EndReason add_scores(ScoreOutcome const& score, Clock::time_point now);

    /// Goes on where an earlier run was saved. Before anything was planned.
    void restore(io::SavedSequence const& saved, Clock::time_point now);

    /// Only the entries [0, entries) are in the cache: what was known beyond them is computed again.
    void go_back_to(std::int64_t entries);

    /// The state with the entries [0, position) in the cache and what is known by now.
    [[nodiscard]] io::SavedSequence save(std::int64_t position, Clock::time_point now) const;

    [[nodiscard]] std::string const& id() const { return prepared_.job.id; }
    /// For people: the path, or the job's id where the text stands in the queue.
    [[nodiscard]] std::string document_name() const {
        return prepared_.job.path ? prepared_.job.path->string() : prepared_.job.id;
    }

    void set_document(StoredDocument document) { document_ = std::move(document); }
    [[nodiscard]] std::optional<StoredDocument> take_document() {
        return std::exchange(document_, std::nullopt);
    }

    [[nodiscard]] std::int64_t prompt_tokens() const { return prompt_tokens_; }
    [[nodiscard]] std::int64_t shared_tokens() const { return shared_tokens_; }
    [[nodiscard]] std::int64_t max_tokens() const { return prepared_.spec.max_new_tokens; }
    [[nodiscard]] std::int64_t num_generated() const {
        return static_cast<std::int64_t>(tokens_.size());
    }
    [[nodiscard]] bool started() const { return started_; }

    [[nodiscard]] io::JobResult finish(text::Tokenizer const& tokenizer, io::GridInfo const& grid,
                                       std::int64_t chunk) const;
    [[nodiscard]] io::JobResult fail(io::JobError error) const;

    /// Why the output may have stopped being finite: a file of embeddings that is no longer what it was comes first.
    [[nodiscard]] io::JobError non_finite_error() const;

  private:
    [[nodiscard]] double since_start(Clock::time_point now) const;

    PreparedJob prepared_;  // without the prompt, which the scheduler holds
    std::vector<TokenId> eos_tokens_;
    std::int64_t prompt_tokens_;
    bool started_ = false;
    std::int64_t resumed_at_ = 0;  // entries that were loaded and are expected not to be planned
    Clock::time_point
        start_;  // first entries planned; in a resumed job as far back as it had run before
    Clock::time_point last_token_;
    double prefill_s_ = 0.0;
    std::int64_t shared_tokens_ = 0;
    std::vector<TokenId> tokens_;
    std::vector<float> tbt_s_;
    std::vector<io::TokenLogprob> logprobs_;
    std::vector<float> scores_;
    std::optional<StoredDocument>
        document_;  // for the KV store, when its outcome is known to be finite
    schedule::EndReason end_ = schedule::EndReason::none;
};

}  // namespace longhaul::engine
