#pragma once

#include "text/tokenizer.hpp"
#include "io/result.hpp"
#include "schedule/step_inputs.hpp"
#include "schedule/step_plan.hpp"
#include "engine/prepared_job.hpp"
#include "engine/step_outcome.hpp"

#include <chrono>
#include <cstdint>
#include <vector>

namespace longhaul::engine {

using Clock = std::chrono::steady_clock;

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

  private:
    [[nodiscard]] double since_start(Clock::time_point now) const;

    PreparedJob prepared_;  // without the prompt, which the scheduler holds
    std::vector<TokenId> eos_tokens_;
    std::int64_t prompt_tokens_;
    bool started_ = false;
    Clock::time_point start_;  // first entries planned
    Clock::time_point last_token_;
    double prefill_s_ = 0.0;
    std::int64_t shared_tokens_ = 0;
    std::vector<TokenId> tokens_;
    std::vector<float> tbt_s_;
    std::vector<io::TokenLogprob> logprobs_;
    std::vector<float> scores_;
    schedule::EndReason end_ = schedule::EndReason::none;
};

}  // namespace longhaul::engine
