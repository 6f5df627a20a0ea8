#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

namespace longhaul::report {

/// Where a run stands. Counts only grow, except the expectations, which may be corrected.
struct ProgressCounters {
    std::optional<std::int64_t> jobs_total;  ///< lines of the queue; unset for a pipe
    std::int64_t jobs_started = 0;  ///< taken from the queue to be run, skipped ones not counted
    std::int64_t jobs_done = 0;     ///< finished well in this run
    std::int64_t jobs_failed = 0;   ///< finished with an error line in this run
    std::int64_t jobs_skipped = 0;  ///< finished by an earlier run
    std::string phase;              ///< "prefill", "decode", "saving", ...

    /// Over the started jobs. What a finished job was expected to do but did not (it ended early, it failed) no longer counts
    /// as expected.
    std::int64_t prompt_tokens_done = 0;
    std::int64_t prompt_tokens_expected = 0;
    std::int64_t generated_tokens = 0;
    std::int64_t generated_tokens_expected = 0;

    std::int64_t entries_computed = 0;  ///< by all replicas, of prompts and of what was generated
};

/// Turns counters into rates, a share and an end. Pure: time is an argument, in seconds from any start, and never runs back.
class ProgressMeter {
  public:
    /// Tokens per second are over `rate_window_s`, the estimate of the end over `eta_window_s`.
    explicit ProgressMeter(double rate_window_s = 10, double eta_window_s = 120);

    void update(ProgressCounters const& counters, double now_s);

    /// Prompt and generated tokens together, over the window; 0 before there are two different times.
    [[nodiscard]] double tokens_per_s() const;
    /// Share of the work in [0, 1]: of the jobs still to be taken, each counts like the average of those started. Unset while
    /// the number of jobs is unknown.
    [[nodiscard]] std::optional<double> fraction() const;
    /// Seconds to the end if the work goes on as in the window; unset while nothing moves or the share is unknown.
    [[nodiscard]] std::optional<double> eta_s() const;

    /// "jobs 3/10 (1 failed, 2 skipped) | prefill | 12k + 340 tokens | 1.2k tok/s | 45% | ETA 12:34"
    [[nodiscard]] std::string line() const;

  private:
    struct Sample {
        double now_s = 0;
        std::int64_t tokens = 0;
        std::optional<double> fraction;
    };
    [[nodiscard]] Sample const& window_start(double window_s) const;

    double rate_window_s_;
    double eta_window_s_;
    ProgressCounters counters_;
    std::deque<Sample> samples_;  // the newest last
};

}  // namespace longhaul::report
