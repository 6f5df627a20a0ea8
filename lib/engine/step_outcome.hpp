#pragma once

#include "base/types.hpp"
#include "kernels/logits.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace longhaul::engine {

/// The token chosen for one sequence in a step.
struct SampleOutcome {
    SequenceId sequence = -1;
    std::int64_t index = 0;  ///< causal index of the chosen token
    TokenId token = -1;
    float logprob = 0.0F;  ///< at temperature 1
    bool finite = true;    ///< the logits were finite; otherwise the token means nothing
    std::vector<kernels::ScoredToken> top;  ///< largest log-probabilities (in `logit`), descending
};

/// Log-probabilities of the prompt tokens first_index, first_index + 1, ... of a `score` sequence.
struct ScoreOutcome {
    SequenceId sequence = -1;
    std::int64_t first_index = 0;
    bool finite = true;
    bool last = false;  ///< the prompt ends here
    std::vector<float> logprobs;
};

/// What one step produced: made by the last stage, sent to the replica's leader.
struct StepOutcome {
    StepIndex step = -1;
    std::vector<SampleOutcome> samples;
    std::vector<ScoreOutcome> scores;

    [[nodiscard]] std::vector<std::byte> serialize() const;
    static StepOutcome deserialize(std::span<std::byte const> bytes);
};

}  // namespace longhaul::engine
