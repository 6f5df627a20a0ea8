#pragma once

#include "system/support/program.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace longhaul::system_test {

/// tests/system/golden/smollm2-135m.json: what Hugging Face transformers computes for the real model in float32.
struct Golden {
    struct Step {
        std::int64_t id = 0;
        std::vector<std::pair<std::int64_t, double>> watched;  ///< the top 16, then the fixed ids
    };
    struct Prompt {
        std::string name;
        std::vector<std::int64_t> ids;
        std::vector<double> logprobs;  ///< entry i: of id i + 1
        std::vector<Step> steps;

        [[nodiscard]] std::vector<std::int64_t> ids_and_steps(std::size_t num_steps) const;
    };
    struct Spread {
        double mean = 0.0;
        double p99 = 0.0;
    };

    std::string sha256;
    std::vector<Prompt> prompts;
    Spread bf16_prompt;  ///< |difference| of transformers' own bfloat16, over all prompts
    Spread bf16_steps;

    static constexpr std::size_t kTop = 16;

    /// Of the prompts, those of at most `max_tokens`.
    [[nodiscard]] static Golden load(std::size_t max_tokens);
    [[nodiscard]] static std::filesystem::path model_path();
};

/// Differences |ours - golden|, of the numbers that both have.
class Differences {
  public:
    void add(double ours, double golden);
    void missing() { ++missing_; }

    [[nodiscard]] std::size_t count() const { return values_.size(); }
    [[nodiscard]] std::size_t num_missing() const { return missing_; }
    [[nodiscard]] double max() const;
    [[nodiscard]] Golden::Spread spread() const;  ///< percentile as numpy's default does it
    [[nodiscard]] std::string text() const;

  private:
    std::vector<double> values_;
    std::size_t missing_ = 0;
};

/// Everything that one run is compared in.
struct Comparison {
    Differences prompt;  ///< prompt tokens, teacher-forced
    Differences forced;  ///< the golden tokens behind the prompt, teacher-forced
    Differences chosen;  ///< the tokens generated
    Differences top;     ///< the golden top 16 at each step
    Differences fixed;   ///< the fixed ids, where our list is long enough to have them
    int wrong_tokens = 0;

    /// Of a score job on ids_and_steps(all).
    void add_scores(Golden::Prompt const& golden, Json const& result);
    /// Of a job that generated greedily behind the prompt.
    void add_generated(Golden::Prompt const& golden, Json const& result);
    /// One entry of a result's `logprobs` against the step.
    void add_step(Golden::Step const& golden, Json const& entry);

    [[nodiscard]] std::string text() const;
};

}  // namespace longhaul::system_test
