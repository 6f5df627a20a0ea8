#include "engine/run.hpp"

#include "comm/backoff.hpp"
#include "engine/job_preparer.hpp"
#include "engine/job_server.hpp"
#include "engine/rank_engine.hpp"
#include "engine/replica_leader.hpp"
#include "engine/run_record.hpp"
#include "engine/run_setup.hpp"
#include "engine/step_channel.hpp"
#include "engine/step_loop.hpp"

#include <memory>
#include <optional>
#include <thread>
#include <utility>

namespace longhaul::engine {
namespace {

/// What only the first rank of a replica has.
struct LeaderParts {
    LeaderParts(RunSetup& setup, RunOptions const& options, StepChannel& channel, LocalLink* local)
        : link(static_cast<int>(setup.grid->coord().replica), local, setup.grid->service()),
          preparer(*setup.text,
                   {options.retry_errors, setup.file->config().vocab_size,
                    setup.file->config().trained_context, setup.scheduling.kv, options.chunk}),
          thread([this](LinkJob const& job) { return preparer.prepare(job); }),
          leader(leader_options(setup, options), channel, link, thread, setup.text->tokenizer) {}

    static ReplicaLeader::Options leader_options(RunSetup& setup, RunOptions const& options) {
        comm::GridShape const& shape = setup.grid->shape();
        ReplicaLeader::Options leader;
        leader.max_batch = options.max_batch;
        leader.chunk = options.chunk;
        leader.eos_tokens = setup.file->config().eos_tokens;
        leader.grid = {shape.replicas, shape.spp, shape.kvp, shape.tp};
        return leader;
    }

    JobLink link;
    JobPreparer preparer;
    PrepareThread thread;
    ReplicaLeader leader;
};

/// The server on world rank 0 and its thread. An exception in it ends the whole run (terminate handler), on purpose.
struct ServerParts {
    ServerParts(RunSetup& setup, RunOptions const& options, RunObserver const& observer)
        : server(
              server_options(setup, options), *setup.queue, *setup.output, setup.grid->service(),
              local,
              observer.progress ? observer.progress : [](report::ProgressCounters const&) {}),
          thread([this] { server.serve(); }) {}

    static JobServer::Options server_options(RunSetup& setup, RunOptions const& options) {
        comm::GridShape const& shape = setup.grid->shape();
        return {static_cast<int>(shape.replicas),
                static_cast<int>(shape.spp * shape.kvp * shape.tp), options.retry_errors};
    }

    LocalLink local;
    JobServer server;
    std::thread thread;
};

StepCounters run_rank(RunSetup& setup, comm::NodeInfo const& node, RunOptions const& options,
                      RunObserver const& observer, LocalLink* local) {
    comm::ProcessGrid& grid = *setup.grid;
    comm::GridShape const& shape = grid.shape();
    StepCounters counters;
    schedule::ChunkScheduler scheduler(setup.scheduling);
    StepChannel channel(grid.control(), static_cast<int>((shape.spp - 1) * shape.kvp * shape.tp));
    std::unique_ptr<LeaderParts> leader;
    if (setup.is_leader()) {
        leader = std::make_unique<LeaderParts>(setup, options, channel, local);
    }
    RankContext context{grid, setup.weights, *setup.kv, setup.exec, options.deterministic, counters,
                        {}};
    RankEngine engine(context, scheduler.max_rows());
    context.between_layers = [&] {
        engine.progress();
        if (leader) {
            leader->leader.poll();
        }
    };
    StepLoop loop{engine,
                  scheduler,
                  channel,
                  leader ? &leader->leader : nullptr,
                  counters,
                  shape.spp,
                  comm::backoff_policy(node.local_size, node.cores),
                  std::nullopt,
                  observer.step_begun};
    if (options.inject_fault && options.inject_fault->rank == grid.world().rank()) {
        loop.fail_at = options.inject_fault->step;
    }
    run_steps(loop);
    if (leader) {
        leader->leader.say_goodbye();
    }
    return counters;
}

}  // namespace

int run(comm::Communicator& world, comm::NodeInfo const& node, RunOptions const& options,
        RunObserver const& observer) {
    double wall_s = 0.0;
    std::optional<ScopedTimer> timer(std::in_place, wall_s);
    RunSetup setup = set_up(world, node, options, observer);
    std::unique_ptr<ServerParts> server;
    if (setup.is_server()) {
        server = std::make_unique<ServerParts>(setup, options, observer);
    }
    StepCounters const counters =
        run_rank(setup, node, options, observer, server ? &server->local : nullptr);

    std::int64_t failed = 0;
    if (server) {
        server->thread.join();
        timer.reset();
        failed = server->server.num_failed();
        report::RunSummary summary = server->server.summary();
        summary.wall_s = wall_s;
        setup.output->finish();
        setup.output->write_run_record(run_record(setup, options, counters, summary, wall_s));
        setup.output->write_state(
            io::RunState::complete,
            failed == 0 ? "all jobs done" : std::to_string(failed) + " jobs failed");
        if (observer.finished) {
            observer.finished(server->server.counters(), summary);
        }
    }
    world.all_reduce(std::span(&failed, 1), comm::ReduceOp::max);
    setup.grid->close();
    return failed == 0 ? 0 : 1;
}

}  // namespace longhaul::engine
