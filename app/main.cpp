#include "base/error.hpp"
#include "base/log.hpp"
#include "base/version.hpp"
#include "device/gpu_info.hpp"
#include "comm/nccl.hpp"
#include "io/output_dir_files.hpp"
#include "kernels/library_version.hpp"
#include "app/bench.hpp"
#include "app/bench_comm.hpp"
#include "app/inspect.hpp"
#include "app/queue_command.hpp"
#include "app/run_command.hpp"

#include <cstdio>
#include <string>
#include <vector>

namespace {

constexpr char const* kUsage =
    R"(longhaul runs offline queues of very long documents through a language model, exactly,
on one core or on a cluster under mpirun.

Usage: longhaul COMMAND [options]
  run       run a queue of jobs            longhaul run --help
  inspect   look at a model, a queue or saved KV cache   longhaul inspect --help
  queue     cut a queue, join results      longhaul queue --help
  bench     measure this machine           longhaul bench --help

       longhaul --version | --help
)";

int without_mpi(int (*command)(std::vector<std::string> const&),
                std::vector<std::string> const& words) {
    try {
        return command(words);
    } catch (longhaul::ValidationError const& error) {
        longhaul::log::error("{}", error.what());
    } catch (longhaul::io::IoError const& error) {
        longhaul::log::error("{}", error.what());
    }
    return 2;
}

int dispatch(std::vector<std::string> const& words) {
    if (words.empty() || words[0] == "--help" || words[0] == "-h") {
        std::fputs(kUsage, words.empty() ? stderr : stdout);
        return words.empty() ? 2 : 0;
    }
    if (words[0] == "--version") {
        std::printf("longhaul %s\nbackends: %scpu, reference\noneDNN: %s\nNCCL: %s\nGPU: %s\n",
                    longhaul::kVersion, longhaul::device::built_with_cuda() ? "cuda, " : "",
                    longhaul::kernels::onednn_version().c_str(),
                    longhaul::comm::describe_nccl().c_str(),
                    longhaul::device::describe_gpus().c_str());
        return 0;
    }
    std::vector<std::string> const rest(words.begin() + 1, words.end());
    if (words[0] == "run") {
        return longhaul::app::run_command(rest);
    }
    if (words[0] == "inspect") {
        return without_mpi(longhaul::app::inspect_command, rest);
    }
    if (words[0] == "queue") {
        return without_mpi(longhaul::app::queue_command, rest);
    }
    if (words[0] == "bench" && !rest.empty() && rest[0] == "comm") {
        return longhaul::app::bench_comm_command(rest);
    }
    if (words[0] == "bench") {
        return without_mpi(longhaul::app::bench_command, rest);
    }
    longhaul::log::error("there is no command '{}'; see `longhaul --help`", words[0]);
    return 2;
}

}  // namespace

int main(int argc, char** argv) { return dispatch({argv + 1, argv + argc}); }
