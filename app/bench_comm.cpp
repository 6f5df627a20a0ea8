#include "app/bench_comm.hpp"

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/version.hpp"
#include "comm/agree.hpp"
#include "comm/gpu_transport.hpp"
#include "comm/process_grid.hpp"
#include "engine/run_options.hpp"
#include "app/bench_messages.hpp"
#include "app/bench_options.hpp"
#include "app/mpi_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <iostream>
#include <memory>
#include <span>

namespace longhaul::app {
namespace {

constexpr int kExitSetUp = 2;
constexpr int kExitFailed = 3;

BenchOptions agreed_options(comm::Communicator& world, std::vector<std::string> const& words) {
    BenchOptions options;
    comm::agree_on(world, [&] {
        options = parse_bench_options(words).value();
        LH_VALIDATE(world.size() > 1,
                    "bench comm measures messages between ranks, and there is only one; start "
                    "several: mpirun -n 2 longhaul bench comm");
    });
    std::string const same = fmt::format("{} {} {}", engine::backend_name(options.backend),
                                         options.repeat, fmt::join(options.bytes, ","));
    comm::agree_equal(world, std::as_bytes(std::span(same)), "options or another backend");
    return options;
}

/// What carries the messages, as a run has it: one group of all ranks.
struct Ranks {
    Ranks(comm::MpiRuntime& mpi, BenchOptions const& options)
        : grid(mpi.world(), {.tp = mpi.world().size()}),
          transport("messages between ranks go by " + comm::MpiRuntime::library_version()) {
        if (options.backend == kernels::Backend::cuda) {
            gpu = comm::open_gpu(mpi.world(), mpi.node().local_rank);
            auto const choice = comm::choose_gpu_transport(mpi.world(), gpu->info());
            transport = comm::describe(choice, mpi.world());
            grid.use_gpu(*gpu, choice.transport);
            grid.start_watchdog();
        }
        std::array<std::int64_t, 1> first{mpi.node().local_rank == 0 ? 1 : 0};
        mpi.world().all_reduce(first, comm::ReduceOp::sum);
        num_hosts = first[0];
    }

    std::unique_ptr<device::Gpu> gpu;  // outlives the grid, which carries its memory
    comm::ProcessGrid grid;
    std::string transport;
    std::int64_t num_hosts = 1;
};

void report(BenchOptions const& options, Ranks& ranks, std::vector<BenchRow> const& rows) {
    std::string const device = ranks.gpu ? ranks.gpu->info().name : "CPU";
    int const num_ranks = ranks.grid.world().size();
    std::cout << fmt::format("comm on {}, {} ranks on {} host{}: {}\n", device, num_ranks,
                             ranks.num_hosts, ranks.num_hosts == 1 ? "" : "s", ranks.transport);
    print_rows(rows, std::cout);
    std::cout.flush();
    if (options.json) {
        write_json(options, {{"bench", options.what},
                             {"longhaul", kVersion},
                             {"backend", engine::backend_name(options.backend)},
                             {"device", device},
                             {"ranks", num_ranks},
                             {"hosts", ranks.num_hosts},
                             {"transport", ranks.transport},
                             {"repeat", options.repeat},
                             {"rows", rows}});
    }
}

/// Returns the exit code. Errors are those of all ranks here, and one of them speaks.
int measure(BenchOptions const& options, Ranks& ranks) {
    bool const speaker = ranks.grid.world().rank() == 0;
    try {
        std::vector<BenchRow> const rows =
            bench_messages(ranks.grid.linear(), ranks.gpu.get(), options.bytes, options.repeat);
        comm::agree_on(ranks.grid.world(), [&] {
            if (speaker) {
                report(options, ranks, rows);
            }
        });
    } catch (SetupFailed const& failure) {
        if (speaker) {
            log::error("{}", failure.what());
        }
        return kExitSetUp;
    } catch (WrongMessage const& failure) {
        if (speaker) {
            log::error("{}", failure.what());
        }
        return kExitFailed;
    }
    return 0;
}

}  // namespace

int bench_comm_command(std::vector<std::string> const& words) {
    for (std::string const& word : words) {
        if (word == "--help" || word == "-h") {  // answered without MPI
            std::fputs(bench_help().c_str(), stdout);
            return 0;
        }
    }
    return run_with_mpi([&](comm::MpiRuntime& mpi) {
        BenchOptions const options = agreed_options(mpi.world(), words);
        Ranks ranks(mpi, options);
        int const code = measure(options, ranks);
        ranks.grid.close();  // after errors as well: all ranks come here
        return code;
    });
}

}  // namespace longhaul::app
