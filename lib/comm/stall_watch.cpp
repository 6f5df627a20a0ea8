#include "comm/stall_watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

namespace longhaul::comm {
namespace {

// A longer gap between two checks means that this process was stopped, or starved.
constexpr auto kLongestGap = std::chrono::seconds(1);

double seconds(std::chrono::milliseconds time) {
    return std::chrono::duration<double>(time).count();
}

}  // namespace

StallWatch::StallWatch(std::chrono::milliseconds deadline, Clock::time_point now)
    : deadline_(deadline), last_check_(now) {}

void StallWatch::round(std::span<RankProgress const> ranks) {
    silent_ = Clock::duration{0};
    std::int64_t ended = 0;
    bool any_pending = false;
    bool all_here = true;
    all_leaving_ = true;
    waiting_.clear();
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
        RankProgress const& progress = ranks[rank];
        ended += progress.ended;
        all_here = all_here && (progress.pending != 0 || progress.active != 0);
        all_leaving_ = all_leaving_ && progress.leaving != 0;
        if (progress.pending != 0) {
            any_pending = true;
            waiting_ += fmt::format("{}{}", waiting_.empty() ? "" : ", ", rank);
        }
    }
    may_stall_ = any_pending && all_here && ended == ended_;
    ended_ = ended;
    if (!may_stall_) {
        still_ = Clock::duration{0};
    }
}

std::optional<std::string> StallWatch::check(Clock::time_point now) {
    Clock::duration const gap = std::min<Clock::duration>(now - last_check_, kLongestGap);
    last_check_ = now;
    silent_ += gap;
    if (may_stall_) {
        still_ += gap;
    }
    if (silent_ >= deadline_) {
        return fmt::format(
            "a rank of this replica has not been heard of for {:g} s: it is gone, stopped, or cut "
            "off from the network",
            seconds(deadline_));
    }
    if (still_ >= deadline_) {
        return fmt::format(
            "the GPUs of this replica stand still: nothing has ended for {:g} s, and the GPUs of "
            "its ranks {} wait (NCCL_DEBUG=WARN may say why)",
            seconds(deadline_), waiting_);
    }
    return std::nullopt;
}

}  // namespace longhaul::comm
