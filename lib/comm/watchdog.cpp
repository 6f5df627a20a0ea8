#include "comm/watchdog.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>

namespace longhaul::comm {
namespace {

// Thrown out of a pending round, whose request only an exception may drop.
struct Stopped {};

}  // namespace

Watchdog::Watchdog(std::unique_ptr<Communicator> heartbeat, Actions actions, Options const& options)
    : heartbeat_(std::move(heartbeat)),
      actions_(std::move(actions)),
      options_(options),
      thread_([this] { run(); }) {}

Watchdog::~Watchdog() {
    {
        std::scoped_lock const lock(mutex_);
        stopped_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) {
        thread_.join();
    }
}

void Watchdog::finish() {
    {
        std::scoped_lock const lock(mutex_);
        leaving_ = true;
    }
    changed_.notify_all();
    thread_.join();
    heartbeat_->close();
}

void Watchdog::run() {
    try {
        run_rounds();
    } catch (Stopped const&) {
        return;
    }
}

void Watchdog::run_rounds() {
    StallWatch stall(options_.deadline, StallWatch::Clock::now());
    std::vector<RankProgress> ranks(static_cast<std::size_t>(heartbeat_->size()));
    for (;;) {
        RankProgress const mine = report();
        Request round = heartbeat_->iall_gather(std::as_bytes(std::span(&mine, 1)),
                                                std::as_writable_bytes(std::span(ranks)));
        while (!round.test()) {
            idle(stall, options_.poll, false);
        }
        stall.round(ranks);
        if (stall.all_leaving()) {
            return;
        }
        idle(stall, options_.pause, true);
    }
}

// Looks at this rank all the while.
void Watchdog::idle(StallWatch& stall, std::chrono::milliseconds time, bool until_leaving) {
    auto const end = StallWatch::Clock::now() + time;
    std::unique_lock lock(mutex_);
    for (;;) {
        auto const now = StallWatch::Clock::now();
        if (stopped_) {
            throw Stopped{};
        }
        static_cast<void>(actions_.look());
        if (auto const reason = stall.check(now)) {
            actions_.give_up(*reason);
            throw Stopped{};
        }
        if (now >= end || (until_leaving && leaving_)) {
            return;
        }
        changed_.wait_until(lock, std::min(now + options_.poll, end));
    }
}

RankProgress Watchdog::report() {
    RankProgress progress = actions_.look();
    std::scoped_lock const lock(mutex_);
    progress.leaving = leaving_ ? 1 : 0;
    return progress;
}

}  // namespace longhaul::comm
