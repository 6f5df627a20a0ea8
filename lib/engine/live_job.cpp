#include "engine/live_job.hpp"

#include "text/utf8.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace longhaul::engine {

LiveJob::LiveJob(PreparedJob prepared, std::vector<TokenId> eos_tokens)
    : prepared_(std::move(prepared)),
      eos_tokens_(std::move(eos_tokens)),
      prompt_tokens_(static_cast<std::int64_t>(prepared_.spec.prompt.size())) {
    prepared_.spec.prompt = {};  // the scheduler holds it
    prepared_.spec.prefix_keys = {};
    prepared_.job.text.reset();
    prepared_.job.token_ids.reset();
}

double LiveJob::since_start(Clock::time_point now) const {
    return std::chrono::duration<double>(now - start_).count();
}

void LiveJob::planned(schedule::PlanItem const& item, Clock::time_point now) {
    if (!started_) {
        started_ = true;
        start_ = now;
        shared_tokens_ = item.begin;
    }
}

schedule::EndReason LiveJob::add_token(SampleOutcome const& sample, Clock::time_point now) {
    if (tokens_.empty()) {
        prefill_s_ = since_start(now);
    } else {
        tbt_s_.push_back(std::chrono::duration<float>(now - last_token_).count());
    }
    last_token_ = now;
    tokens_.push_back(sample.token);
    if (prepared_.job.sampling.logprobs) {
        io::TokenLogprob entry;
        entry.id = sample.token;
        entry.logprob = sample.logprob;
        for (kernels::ScoredToken const& token : sample.top) {
            entry.top.emplace_back(token.id, token.logit);
        }
        logprobs_.push_back(std::move(entry));
    }
    bool const is_eos =
        std::find(eos_tokens_.begin(), eos_tokens_.end(), sample.token) != eos_tokens_.end();
    if (is_eos && !prepared_.job.sampling.ignore_eos) {
        end_ = schedule::EndReason::stop;
    } else if (static_cast<std::int64_t>(tokens_.size()) == prepared_.job.sampling.max_tokens) {
        end_ = schedule::EndReason::length;
    }
    return end_;
}

schedule::EndReason LiveJob::add_scores(ScoreOutcome const& score, Clock::time_point now) {
    scores_.insert(scores_.end(), score.logprobs.begin(), score.logprobs.end());
    if (score.last) {
        prefill_s_ = since_start(now);
        end_ = schedule::EndReason::scored;
    }
    return end_;
}

io::JobResult LiveJob::finish(text::Tokenizer const& tokenizer, io::GridInfo const& grid,
                              std::int64_t chunk) const {
    io::JobResult result;
    result.id = prepared_.job.id;
    result.job_hash = prepared_.job_hash;
    result.prompt_tokens = prompt_tokens_;
    result.grid = grid;
    result.prefill = io::PrefillInfo{"chunked", chunk, prompt_tokens_ - shared_tokens_,
                                     shared_tokens_, prefill_s_};
    if (end_ == schedule::EndReason::scored) {
        double sum = 0.0;
        for (float const logprob : scores_) {
            sum -= static_cast<double>(logprob);
        }
        double const mean = scores_.empty() ? 0.0 : sum / static_cast<double>(scores_.size());
        result.score = io::ScoreResult{scores_, mean, std::exp(mean)};
        return result;
    }
    result.token_ids = tokens_;
    result.completion_tokens = static_cast<std::int64_t>(tokens_.size());
    result.text = text::to_valid_utf8(tokenizer.decode(tokens_));
    result.finish_reason =
        end_ == schedule::EndReason::stop ? io::FinishReason::stop : io::FinishReason::length;
    result.ttft_s = prefill_s_;
    result.tbt_s = tbt_s_;
    if (prepared_.job.sampling.logprobs) {
        result.logprobs = logprobs_;
    }
    return result;
}

io::JobResult LiveJob::fail(io::JobError error) const {
    io::JobResult result =
        io::failed_result(prepared_.job.id, prepared_.job_hash, std::move(error));
    result.prompt_tokens = prompt_tokens_;
    return result;
}

}  // namespace longhaul::engine
