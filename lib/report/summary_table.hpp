#pragma once

#include "io/result.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace longhaul::report {

/// What the table at the end of a run is made of.
struct RunSummary {
    std::int64_t jobs_ok = 0;
    std::int64_t jobs_failed =
        0;  ///< of this run, and of an earlier one where they were not tried again
    std::int64_t jobs_skipped = 0;  ///< done by an earlier run
    std::int64_t prompt_tokens = 0;
    std::int64_t prefilled_tokens = 0;  ///< prompt tokens that were computed
    std::int64_t shared_tokens = 0;     ///< prompt tokens taken over from another job's prefill
    std::int64_t generated_tokens = 0;
    double wall_s = 0;
    double prefill_s = 0;  ///< summed over jobs: prefills side by side both count
    std::vector<float> ttft_s;
    std::vector<float> tbt_s;  ///< of all tokens of all jobs

    /// Takes in one result of this run.
    void add(io::JobResult const& result);
};

/// Several lines, each ended by a line feed.
[[nodiscard]] std::string summary_table(RunSummary const& summary);

}  // namespace longhaul::report
