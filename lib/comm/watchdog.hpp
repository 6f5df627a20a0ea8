#pragma once

#include "comm/communicator.hpp"
#include "comm/stall_watch.hpp"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace longhaul::comm {

/// A thread that keeps the ranks of a group informed about each other, over host messages, and ends the run when they cannot
/// go on (StallWatch).
///
/// Collective  construction and finish(), over the group of `heartbeat`, whose traffic is this thread's alone
/// Threads     `look` and `give_up` are called from that thread
class Watchdog {
  public:
    struct Options {
        std::chrono::milliseconds poll{50};    ///< between two looks at this rank
        std::chrono::milliseconds pause{950};  ///< between two rounds of reports
        /// Short of the 30 s within which a lost peer ends the run: the other ranks are told after that.
        std::chrono::milliseconds deadline{25'000};
    };
    struct Actions {
        /// This rank's report, except `leaving`. What it throws ends the run (lib/README.md, error policy).
        std::function<RankProgress()> look;
        /// Ends the run; where it returns, which only tests do, so does the thread.
        std::function<void(std::string const& reason)> give_up;
    };

    Watchdog(std::unique_ptr<Communicator> heartbeat, Actions actions, Options const& options);
    /// Ends the thread without telling the others: for what unwinds.
    ~Watchdog();
    Watchdog(Watchdog const&) = delete;
    Watchdog& operator=(Watchdog const&) = delete;

    /// Returns when all ranks have called it; from then on the group needs no watching.
    void finish();

  private:
    void run();
    void run_rounds();
    void idle(StallWatch& stall, std::chrono::milliseconds time, bool until_leaving);
    [[nodiscard]] RankProgress report();

    std::unique_ptr<Communicator> heartbeat_;
    Actions actions_;
    Options options_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool leaving_ = false;
    bool stopped_ = false;
    std::thread thread_;
};

}  // namespace longhaul::comm
