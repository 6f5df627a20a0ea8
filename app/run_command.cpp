#include "app/run_command.hpp"

#include "base/error.hpp"
#include "base/log.hpp"
#include "comm/agree.hpp"
#include "comm/mpi_runtime.hpp"
#include "engine/run.hpp"
#include "report/progress_printer.hpp"
#include "app/run_command_line.hpp"

#include <chrono>
#include <csignal>
#include <cstdio>

namespace longhaul::app {
namespace {

double now_s() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

int run_on_ranks(comm::MpiRuntime& mpi, std::vector<std::string> const& words) {
    RunCommandLine command;
    comm::agree_on(mpi.world(), [&] { command = parse_run_command_line(words); });

    report::ProgressPrinter printer = report::ProgressPrinter::for_stderr(command.quiet);
    engine::RunObserver observer;
    if (!command.quiet) {
        observer.info = [](std::string const& text) { log::info("{}", text); };
        observer.finished = [&printer](report::ProgressCounters const& counters,
                                       report::RunSummary const& summary) {
            printer.finish(counters, now_s());
            std::fputs(report::summary_table(summary).c_str(), stderr);
        };
    }
    observer.progress = [&printer](report::ProgressCounters const& counters) {
        printer.update(counters, now_s());
    };
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
    // A write beyond a file size limit is reported like a full disk, not by a signal.
    std::signal(SIGXFSZ, SIG_IGN);
    comm::MpiRuntime mpi;
    log::set_rank(mpi.world().size() > 1 ? mpi.world().rank() : -1);
    int code = 2;
    bool const speaker = mpi.world().rank() == 0;
    try {
        code = run_on_ranks(mpi, words);
    } catch (SetupFailed const& failure) {
        // Thrown on all ranks alike: unwinding is the same everywhere, and one rank speaks.
        if (speaker) {
            log::error("{}", failure.what());
        }
    }
    mpi.finish();
    return code;
}

}  // namespace longhaul::app
