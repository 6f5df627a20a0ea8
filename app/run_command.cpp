#include "app/run_command.hpp"

#include "base/error.hpp"
#include "base/log.hpp"
#include "comm/agree.hpp"
#include "engine/run.hpp"
#include "report/progress_printer.hpp"
#include "app/mpi_command.hpp"
#include "app/run_command_line.hpp"
#include "app/stop_signals.hpp"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <mutex>

namespace longhaul::app {
namespace {

double now_s() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

/// The progress line, kept out of the way of messages from any thread.
class Progress {
  public:
    explicit Progress(bool quiet) : printer_(report::ProgressPrinter::for_stderr(quiet)) {
        log::set_before_line([this] {
            if (std::unique_lock const lock(lock_, std::try_to_lock); lock.owns_lock()) {
                printer_.clear();
            }
        });
    }
    Progress(Progress const&) = delete;
    Progress& operator=(Progress const&) = delete;
    ~Progress() { log::set_before_line({}); }

    void update(report::ProgressCounters const& counters) {
        std::lock_guard const lock(lock_);
        printer_.update(counters, now_s());
    }
    void finish(report::ProgressCounters const& counters) {
        std::lock_guard const lock(lock_);
        printer_.finish(counters, now_s());
    }

  private:
    std::mutex lock_;
    report::ProgressPrinter printer_;
};

/// Before MPI ends: its transports may want their signals.
struct ReleaseAtEnd {
    ReleaseAtEnd() = default;
    ReleaseAtEnd(ReleaseAtEnd const&) = delete;
    ReleaseAtEnd& operator=(ReleaseAtEnd const&) = delete;
    ~ReleaseAtEnd() { release_stop_signals(); }
};

int run_on_ranks(comm::MpiRuntime& mpi, std::vector<std::string> const& words) {
    RunCommandLine command;
    comm::agree_on(mpi.world(), [&] {
        command = parse_run_command_line(words);
        auto const& fault = command.options.inject_fault;
        LH_VALIDATE(!fault || fault->rank < mpi.world().size(),
                    "--inject-fault names rank {}, and this run has {} rank(s)", fault->rank,
                    mpi.world().size());
    });

    Progress progress(command.quiet);
    engine::RunObserver observer;
    if (!command.quiet) {
        observer.info = [](std::string const& text) { log::info("{}", text); };
        observer.finished = [&progress](report::ProgressCounters const& counters,
                                        report::RunSummary const& summary) {
            progress.finish(counters);
            std::fputs(report::summary_table(summary).c_str(), stderr);
        };
    }
    observer.progress = [&progress](report::ProgressCounters const& counters) {
        progress.update(counters);
    };
    observer.stop_requested = stop_requested;
    return engine::run(mpi.world(), mpi.node(), command.options, observer);
}

}  // namespace

int run_command(std::vector<std::string> const& words) {
    for (std::string const& word : words) {
        if (word == "--help" || word == "-h") {  // answered without MPI
            std::fputs(run_help().c_str(), stdout);
            return 0;
        }
    }
    // A write beyond a file size limit is reported like a full disk, not by a signal; and a reader of our messages that
    // goes away does not end the run.
    std::signal(SIGXFSZ, SIG_IGN);
    install_stop_signals();
    std::signal(SIGPIPE, SIG_IGN);
    return run_with_mpi([&](comm::MpiRuntime& mpi) {
        ReleaseAtEnd const release;
        return run_on_ranks(mpi, words);
    });
}

}  // namespace longhaul::app
