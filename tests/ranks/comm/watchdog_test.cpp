#include "comm/watchdog.hpp"

#include "support/loopback_or_mpi.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

namespace longhaul::comm {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr Watchdog::Options kFast{.poll = 2ms, .pause = 5ms, .deadline = 200ms};

/// A rank whose report is the test's, and what its watchdog said.
struct WatchedRank {
    explicit WatchedRank(Communicator& world, RankProgress first)
        : progress(first),
          watchdog(world.duplicate(),
                   {[this] { return look(); }, [this](std::string const& text) { hear(text); }},
                   kFast) {}

    RankProgress look() {
        RankProgress now = progress;
        if (moves) {
            now.ended = ++ended;
        }
        return now;
    }
    void hear(std::string const& text) {
        std::scoped_lock const lock(mutex);
        reason = text;
    }
    std::string heard() {
        std::scoped_lock const lock(mutex);
        return reason;
    }
    std::string wait_until_heard() {
        auto const limit = std::chrono::steady_clock::now() + 20s;
        while (heard().empty() && std::chrono::steady_clock::now() < limit) {
            std::this_thread::sleep_for(1ms);
        }
        return heard();
    }

    RankProgress const progress;
    std::atomic<bool> moves{false};
    std::int64_t ended = 0;  // of the watchdog's thread
    std::mutex mutex;
    std::string reason;
    Watchdog watchdog;
};

LH_RANK_TEST(Watchdog, LetsAnIdleGroupBeAndEndsWithTheLastRank) {
    WatchedRank me(world, {});
    std::this_thread::sleep_for(world.rank() == 0 ? 500ms : 10ms);
    me.watchdog.finish();
    EXPECT_EQ(me.heard(), "");
}

LH_RANK_TEST(Watchdog, LetsGpusComputeForLong) {
    WatchedRank me(world, {.pending = 1});
    me.moves = world.rank() == world.size() - 1;  // one that moves is enough
    std::this_thread::sleep_for(500ms);
    EXPECT_EQ(me.heard(), "");
    me.watchdog.finish();
}

LH_RANK_TEST(Watchdog, GivesUpGpusThatStandStill) {
    WatchedRank me(world, {.pending = 1});
    // Who gives up first is silent for the others.
    EXPECT_THAT(me.wait_until_heard(),
                ::testing::AnyOf(HasSubstr("stand still"), HasSubstr("not been heard of")));
}

LH_RANK_TEST(Watchdog, NoticesALostRank) {
    if (world.size() == 1) {
        return;
    }
    bool const lost = world.rank() == world.size() - 1;
    std::optional<WatchedRank> me;
    std::unique_ptr<Communicator> unused;
    if (lost) {
        unused = world.duplicate();  // collective with the others'
    } else {
        me.emplace(world, RankProgress{});
        EXPECT_THAT(me->wait_until_heard(), HasSubstr("not been heard of"));
    }
    world.barrier();
}

}  // namespace
}  // namespace longhaul::comm
