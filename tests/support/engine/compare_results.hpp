#pragma once

#include "support/engine/engine_results.hpp"
#include "support/engine/job_lines.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace longhaul::test {

/// How two runs of the same jobs differ (T2 of the design). Log-probabilities are compared as long as both runs have chosen
/// the same tokens.
struct Comparison {
    std::int64_t values = 0;  ///< log-probabilities compared
    std::int64_t tokens = 0;  ///< generated tokens that agree
    std::int64_t near_ties =
        0;  ///< jobs whose tokens parted where the two best were too close to call
    double max_delta = 0.0;
    double sum_delta = 0.0;
    std::vector<std::string> problems;  ///< why the runs do not agree; empty: they do

    [[nodiscard]] double mean_delta() const {
        return values == 0 ? 0.0 : sum_delta / static_cast<double>(values);
    }
    Comparison& operator+=(Comparison const& other);
};

/// Compares a run with the reference. A log-probability that is off by more than `tolerance` is a problem, and so are tokens
/// that part where the reference's two best candidates are further apart than twice that.
[[nodiscard]] Comparison compare(std::vector<JobLine> const& jobs, EngineResults const& reference,
                                 EngineResults const& run, double tolerance);

/// How far the chosen token of a step lies ahead of the next one, in units of logits (the noise of sampling included).
/// Negative: another token is ahead. Sampled jobs need all log-probabilities, greedy ones two.
[[nodiscard]] double choice_gap(JobLine const& job, std::int64_t index,
                                io::TokenLogprob const& step);

/// Names the jobs whose results are not the same to the last bit, with the first difference; empty: none.
[[nodiscard]] std::string differences(EngineResults const& expected, EngineResults const& run);

}  // namespace longhaul::test
