#include "engine/live_job.hpp"

#include "text/utf8.hpp"
#include "io/job_utf8.hpp"
#include "io/video_tokens_file.hpp"

#include <fmt/format.h>

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
    if (item.begin < resumed_at_) {
        go_back_to(item.begin);  // the sequence that was to fill what this one shares has failed
    }
    resumed_at_ = 0;
    if (!started_) {
        started_ = true;
        start_ = now;
        shared_tokens_ = item.begin;
    }
}

void LiveJob::restore(io::SavedSequence const& saved, Clock::time_point now) {
    auto const seconds = [](double s) {
        return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(s));
    };
    started_ = true;
    start_ = now - seconds(saved.elapsed_s);
    last_token_ = start_ + seconds(saved.last_token_s);
    prefill_s_ = saved.prefill_s;
    shared_tokens_ = saved.shared_tokens;
    tokens_ = saved.generated;
    tbt_s_ = saved.tbt_s;
    logprobs_ = saved.logprobs;
    scores_ = saved.scores;
    switch (saved.end) {
        case io::SavedEnd::none:
            end_ = schedule::EndReason::none;
            break;
        case io::SavedEnd::stop:
            end_ = schedule::EndReason::stop;
            break;
        case io::SavedEnd::length:
            end_ = schedule::EndReason::length;
            break;
        case io::SavedEnd::scored:
            end_ = schedule::EndReason::scored;
            break;
    }
    resumed_at_ = saved.position;
}

void LiveJob::go_back_to(std::int64_t entries) {
    resumed_at_ = std::min(resumed_at_, entries);
    auto const known =
        static_cast<std::size_t>(std::max<std::int64_t>(0, entries - prompt_tokens_ + 1));
    if (tokens_.size() > known) {
        tokens_.resize(known);
        logprobs_.resize(std::min(logprobs_.size(), known));
        tbt_s_.resize(std::min(tbt_s_.size(), known > 0 ? known - 1 : 0));
    }
    if (scores_.size() > static_cast<std::size_t>(entries)) {
        scores_.resize(static_cast<std::size_t>(entries));
    }
}

io::SavedSequence LiveJob::save(std::int64_t position, Clock::time_point now) const {
    io::SavedSequence saved;
    saved.job_id = prepared_.job.id;
    saved.job_hash = prepared_.job_hash;
    saved.prompt_tokens = prompt_tokens_;
    saved.position = position;
    saved.shared_tokens = shared_tokens_;
    switch (end_) {
        case schedule::EndReason::stop:
            saved.end = io::SavedEnd::stop;
            break;
        case schedule::EndReason::length:
            saved.end = io::SavedEnd::length;
            break;
        case schedule::EndReason::scored:
            saved.end = io::SavedEnd::scored;
            break;
        case schedule::EndReason::none:
        case schedule::EndReason::failed:
            saved.end = io::SavedEnd::none;
            break;
    }
    saved.generated = tokens_;
    saved.logprobs = logprobs_;
    saved.scores = scores_;
    saved.elapsed_s = since_start(now);
    saved.prefill_s = prefill_s_;
    saved.last_token_s = tokens_.empty() ? 0.0 : since_start(last_token_);
    saved.tbt_s = tbt_s_;
    return saved;
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
    result.prefill = io::PrefillInfo{"chunked",      chunk,      prompt_tokens_ - shared_tokens_,
                                     shared_tokens_, prefill_s_, prepared_.seconds};
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

io::JobError LiveJob::non_finite_error() const {
    for (schedule::EmbeddingSpan const& span : prepared_.spec.embeddings) {
        if (io::stamp_of(span.file) != io::FileStamp{span.file_bytes, span.file_modified_ns}) {
            return {"unreadable",
                    fmt::format("the video tokens {} changed or vanished while the job ran; leave "
                                "the file alone and run the job again",
                                io::replace_invalid_utf8(span.file))};
        }
    }
    return {
        "non_finite",
        fmt::format("the model's output is not finite (NaN or infinity) for this input; check the "
                    "weights, or run it with --dtype f32 and another --output{}",
                    prepared_.spec.embeddings.empty()
                        ? ""
                        : ", and see the log: a rank that cannot read the video tokens says so")};
}

}  // namespace longhaul::engine
