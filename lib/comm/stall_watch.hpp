#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace longhaul::comm {

/// What a rank tells its group about itself, once a second.
struct RankProgress {
    std::int64_t ended = 0;    ///< pieces of its GPU's work that have ended so far
    std::int64_t pending = 0;  ///< 1 while its GPU has not ended what it was given
    std::int64_t active =
        1;  ///< 0 while its engine does something else than run steps (waits for a disk, say)
    std::int64_t leaving = 0;  ///< 1 once it has nothing more to exchange
};

/// Decides whether a group of ranks that exchange in their GPUs can still go on. A kernel that waits for a lost peer waits for
/// ever, and so does whoever waits for the kernel; what tells it from a long computation is that nothing moves anywhere.
///
///     silent   no round of reports came together for the deadline: a rank is gone, or stopped
///     still    all ranks report, no GPU ended anything for the deadline, and every rank waits for its GPU or for a step
///
/// Pure: fed with rounds of reports and with the time. Time in which this process itself did not run does not count.
class StallWatch {
  public:
    using Clock = std::chrono::steady_clock;

    StallWatch(std::chrono::milliseconds deadline, Clock::time_point now);

    /// The reports of all ranks, in rank order.
    void round(std::span<RankProgress const> ranks);
    /// Called often. Why the group is given up, or nothing.
    [[nodiscard]] std::optional<std::string> check(Clock::time_point now);
    /// After the last round every rank was leaving. All ranks see it after the same round.
    [[nodiscard]] bool all_leaving() const { return all_leaving_; }

  private:
    std::chrono::milliseconds deadline_;
    Clock::time_point last_check_;
    Clock::duration silent_{0};
    Clock::duration still_{0};
    bool may_stall_ = false;
    bool all_leaving_ = false;
    std::int64_t ended_ = 0;
    std::string waiting_;  // the ranks whose GPU has work
};

}  // namespace longhaul::comm
