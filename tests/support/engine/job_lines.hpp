#pragma once

#include "base/types.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace longhaul::test {

/// One line of a queue. One of tokens, text and path is set.
struct JobLine {
    std::string id;
    std::string kind = "document";
    std::vector<TokenId> tokens;
    std::string text;
    std::string path;
    std::string prompt;
    std::int64_t max_tokens = 0;  ///< 0 leaves it out (kind score)
    double temperature = 0.0;
    std::uint64_t seed = 0;
    std::optional<std::int32_t> logprobs;
    bool ignore_eos = true;

    [[nodiscard]] std::string to_json() const;
};

/// The file's text.
[[nodiscard]] std::string queue_text(std::vector<JobLine> const& jobs);

/// Ordinary tokens of a tiny model (no special ones), the same for the same seed in every build.
[[nodiscard]] std::vector<TokenId> random_tokens(std::uint64_t seed, std::int64_t count);

/// Words of random letters, about `words` * 4 tokens of a tiny model.
[[nodiscard]] std::string random_text(std::uint64_t seed, std::int64_t words);

[[nodiscard]] JobLine generate_job(std::string id, std::vector<TokenId> tokens,
                                   std::int64_t max_tokens, std::int32_t logprobs = 8);
[[nodiscard]] JobLine score_job(std::string id, std::vector<TokenId> tokens);
[[nodiscard]] JobLine question_job(std::string id, std::string text, std::string prompt,
                                   std::int64_t max_tokens, std::int32_t logprobs = 8);
/// The job with another temperature. All log-probabilities are asked for, so that a reader can redo the choice.
[[nodiscard]] JobLine sampled(JobLine job, double temperature, std::uint64_t seed);

}  // namespace longhaul::test
