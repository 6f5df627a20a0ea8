#pragma once

#include "base/types.hpp"
#include "io/job.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace longhaul::io {

enum class FinishReason { stop, length };

/// Times between tokens of one job.
struct TbtSummary {
    double p50 = 0;
    double p99 = 0;
    double max = 0;

    friend bool operator==(TbtSummary const&, TbtSummary const&) = default;
};

/// A percentile (0 to 100) by the nearest rank; 0 of nothing.
[[nodiscard]] double percentile(std::vector<float> const& samples, double percent);
[[nodiscard]] TbtSummary summarise_tbt(std::vector<float> const& samples_s);

struct PrefillInfo {
    std::string strategy;            ///< "chunked"
    std::int64_t chunk = 0;          ///< tokens per chunk
    std::int64_t tokens = 0;         ///< computed for this job
    std::int64_t shared_tokens = 0;  ///< taken over from another job with the same document
    double seconds = 0;              ///< first chunk's start to last chunk's end
    double prepare_s = 0;  ///< before: reading and tokenising, beside the steps of other jobs

    friend bool operator==(PrefillInfo const&, PrefillInfo const&) = default;
};

struct GridInfo {
    std::int64_t replicas = 1;
    std::int64_t spp = 1;
    std::int64_t kvp = 1;
    std::int64_t tp = 1;

    friend bool operator==(GridInfo const&, GridInfo const&) = default;
};

struct TokenLogprob {
    TokenId id = 0;
    float logprob = 0;
    std::vector<std::pair<TokenId, float>> top;  ///< the k best, best first

    friend bool operator==(TokenLogprob const&, TokenLogprob const&) = default;
};

/// Teacher-forced result of kind score.
struct ScoreResult {
    std::vector<float> logprobs;  ///< of each prompt token from the second on
    double mean_nll = 0;
    double perplexity = 0;

    friend bool operator==(ScoreResult const&, ScoreResult const&) = default;
};

/// Everything a result line says. With `error` set the line is {"id","status":"error","error","job_hash"} plus the counts
/// that are known; otherwise status is "ok".
struct JobResult {
    std::string id;
    std::string job_hash;
    std::optional<JobError> error;

    std::string text;  ///< bytes that are no UTF-8 are written as U+FFFD
    std::vector<TokenId> token_ids;
    std::int64_t prompt_tokens = 0;
    std::int64_t completion_tokens = 0;
    std::optional<FinishReason> finish_reason;  ///< none for kind score
    std::optional<double> ttft_s;
    std::vector<float>
        tbt_s;  ///< time between tokens, one per token after the first; the line has percentiles of it
    std::optional<PrefillInfo> prefill;
    std::optional<GridInfo> grid;
    std::optional<std::vector<TokenLogprob>> logprobs;  ///< where the job asked for them
    std::optional<ScoreResult> score;

    [[nodiscard]] bool ok() const { return !error; }
    friend bool operator==(JobResult const&, JobResult const&) = default;
};

/// The result line of a job that cannot run.
[[nodiscard]] JobResult failed_result(std::string id, std::string job_hash, JobError error);

/// The native result (one line of JSON, no line feed). float32 numbers read back exactly; a number that is not finite is
/// written as null.
[[nodiscard]] std::string to_json_line(JobResult const& result);

/// The bytes with which a result travels from the leader of a replica to world rank 0.
/// Errors      ValidationError when the bytes are not those of a result
[[nodiscard]] std::string serialize_result(JobResult const& result);
[[nodiscard]] JobResult deserialize_result(std::string_view bytes);

}  // namespace longhaul::io
