// A job that fails in the way its first argument names; failing_job_test.py checks how it ends.

#include "base/error.hpp"
#include "base/log.hpp"
#include "comm/agree.hpp"
#include "comm/error.hpp"
#include "comm/mpi_runtime.hpp"
#include "comm/watchdog.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>

namespace longhaul {
namespace {

// Stands for an object whose release waits for the peers: it must not run while one of them fails.
class WaitsWhenReleased {
  public:
    explicit WaitsWhenReleased(comm::Communicator& world) : world_(world) {}
    WaitsWhenReleased(WaitsWhenReleased const&) = delete;
    WaitsWhenReleased& operator=(WaitsWhenReleased const&) = delete;
    ~WaitsWhenReleased() {
        std::fprintf(stderr, "released\n");
        world_.barrier();
    }

  private:
    comm::Communicator& world_;
};

void throw_on_last_rank(comm::Communicator& world) {
    WaitsWhenReleased const guard(world);
    if (world.rank() == world.size() - 1) {
        throw std::runtime_error("the cache is corrupt");
    }
    std::array<std::byte, 4> data{};
    world.recv(data, world.size() - 1, 1);
}

void throw_in_thread(comm::Communicator& world) {
    WaitsWhenReleased const guard(world);
    if (world.rank() == 0) {
        std::thread([] { throw std::runtime_error("the server lost its queue"); }).join();
    }
    world.barrier();
}

// Like ranks that wait for each other in their GPUs: only the watchdog sees that one is lost.
void run_watched(comm::Communicator& world, bool lose_last) {
    using namespace std::chrono_literals;
    comm::Watchdog watchdog(world.duplicate(),
                            {[] { return comm::RankProgress{}; },
                             [](std::string const& reason) { throw comm::PeerFailed(reason); }},
                            {.poll = 20ms, .pause = 100ms, .deadline = 1500ms});
    if (lose_last && world.rank() == world.size() - 1) {
        static_cast<void>(std::raise(SIGSTOP));
    }
    world.barrier();
    watchdog.finish();
}

int fail_in_setup(comm::MpiRuntime& mpi) {
    try {
        comm::agree_on(mpi.world(), [&] {
            LH_VALIDATE(mpi.world().rank() != mpi.world().size() - 1,
                        "the model is missing; give --model");
        });
    } catch (SetupFailed const& failure) {
        if (mpi.world().rank() == 0) {
            log::error("{}", failure.what());
        }
        mpi.finish();
        return 2;
    }
    return 0;
}

int run(std::string const& how) {
    comm::MpiRuntime mpi;
    if (how == "setup") {
        return fail_in_setup(mpi);
    }
    if (how == "throw") {
        throw_on_last_rank(mpi.world());
    } else if (how == "thread") {
        throw_in_thread(mpi.world());
    } else if (how == "watched" || how == "stopped-peer") {
        run_watched(mpi.world(), how == "stopped-peer");
    } else if (how == "peer-message") {
        std::array<std::byte, 3> data{};
        auto const send = mpi.world().isend(std::span(data).first(2), 0, 1);
        mpi.world().recv(data, 0, 1);
    }
    mpi.finish();
    return 0;
}

}  // namespace
}  // namespace longhaul

int main(int argc, char** argv) { return longhaul::run(argc > 1 ? argv[1] : "good"); }
