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

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

namespace longhaul::engine {
namespace {

/// EX_TEMPFAIL: try again later.
constexpr int kExitRequeue = 75;

// Newer versions of Slurm say when a job's time is over.
std::optional<double> slurm_time_left() {
    char const* const text = std::getenv("SLURM_JOB_END_TIME");
    std::int64_t end = 0;
    if (text == nullptr || std::from_chars(text, text + std::strlen(text), end).ec != std::errc{}) {
        return std::nullopt;
    }
    auto const left =
        std::chrono::system_clock::from_time_t(end) - std::chrono::system_clock::now();
    double const seconds = std::chrono::duration<double>(left).count();
    return seconds > 0.0 ? std::optional(seconds) : std::nullopt;
}

/// What only the first rank of a replica has.
struct LeaderParts {
    LeaderParts(RunSetup& setup, RunOptions const& options, StepChannel& channel, LocalLink* local)
        : link(static_cast<int>(setup.grid->coord().replica), local, setup.grid->service()),
          preparer(*setup.text,
                   {options.retry_errors, setup.file->config().vocab_size,
                    setup.file->config().trained_context, setup.scheduling.kv, options.chunk,
                    setup.segments, setup.file->config().hidden_dim, setup.file->config().name}),
          thread([this](LinkJob const& job) { return preparer.prepare(job); }),
          leader(leader_options(setup, options), channel, link, thread, setup.text->tokenizer) {}

    static ReplicaLeader::Options leader_options(RunSetup& setup, RunOptions const& options) {
        comm::GridShape const& shape = setup.grid->shape();
        ReplicaLeader::Options leader;
        leader.max_batch = options.max_batch;
        leader.chunk = options.chunk;
        leader.eos_tokens = setup.file->config().eos_tokens;
        leader.grid = {shape.replicas, shape.spp, shape.kvp, shape.tp};
        leader.block_slots = options.block_slots;
        leader.num_ranks = static_cast<int>(shape.spp * shape.kvp * shape.tp);
        leader.lag = shape.spp;
        leader.save = setup.checkpointer != nullptr && options.saves();
        leader.store = leader.save && options.kv_store.has_value();
        leader.segments = setup.segments;
        leader.interval = {options.checkpoint_every.seconds, options.checkpoint_every.tokens};
        return leader;
    }

    JobLink link;
    JobPreparer preparer;
    PrepareThread thread;
    ReplicaLeader leader;
};

/// The server on world rank 0 and its thread. An exception in it ends the whole run (terminate handler), on purpose.
struct ServerParts {
    ServerParts(RunSetup& setup, RunOptions const& options, RunObserver const& observer,
                Clock::time_point begun)
        : server(
              server_options(setup, options, observer, begun), *setup.queue, *setup.output,
              setup.checkpoint.get(), setup.store.get(), setup.grid->service(), local,
              observer.progress ? observer.progress : [](report::ProgressCounters const&) {}),
          thread([this] { server.serve(); }) {}

    static JobServer::Options server_options(RunSetup& setup, RunOptions const& options,
                                             RunObserver const& observer, Clock::time_point begun) {
        comm::GridShape const& shape = setup.grid->shape();
        JobServer::Options server;
        server.replicas = static_cast<int>(shape.replicas);
        server.ranks_per_replica = static_cast<int>(shape.spp * shape.kvp * shape.tp);
        server.retry_errors = options.retry_errors;
        server.time_limit_s = options.time_limit_s ? options.time_limit_s : slurm_time_left();
        server.stop_requested = observer.stop_requested;
        server.begun = begun;
        server.chunking =
            fmt::format("chunk={} deterministic={}", options.chunk, options.deterministic);
        server.grid = {shape.replicas, shape.spp, shape.kvp, shape.tp};
        server.identity = setup.identity;
        server.block_slots = options.block_slots;
        server.inject_fault = options.inject_fault;
        return server;
    }

    LocalLink local;
    JobServer server;
    std::thread thread;
};

/// Tells world rank 0, once, that this process was asked to stop. That rank itself looks for it in its server.
class StopWatch {
  public:
    StopWatch(comm::ProcessGrid& grid, std::function<bool()> requested)
        : grid_(grid), requested_(std::move(requested)), sender_(grid.service()) {}

    /// Messages this rank has sent: 0 or 1. They may reach world rank 0 when its server has gone.
    [[nodiscard]] std::int64_t num_sent() const { return told_ ? 1 : 0; }

    /// Waits until they were received.
    void finish() { sender_.drain(); }

    void look() {
        sender_.progress();
        if (!told_ && requested_ && grid_.world().rank() != 0 && requested_()) {
            told_ = true;
            sender_.send({static_cast<int>(grid_.coord().replica), LinkKind::stop,
                          fmt::format("a signal to rank {}", grid_.world().rank())},
                         0, kToServerTag);
        }
    }

  private:
    comm::ProcessGrid& grid_;
    std::function<bool()> requested_;
    RecordSender sender_;
    bool told_ = false;
};

// Collective. A signal may come when everything is over: its message is taken all the same.
void take_late_messages(comm::ProcessGrid& grid, StopWatch& watch, JobServer const* server) {
    std::int64_t sent = watch.num_sent();
    grid.world().all_reduce(std::span(&sent, 1), comm::ReduceOp::sum);
    for (std::int64_t taken = server != nullptr ? server->stops_received() : sent; taken < sent;
         ++taken) {
        static_cast<void>(grid.service().receive(comm::kAnySource, kToServerTag));
    }
    watch.finish();
}

StepCounters run_rank(RunSetup& setup, comm::NodeInfo const& node, RunOptions const& options,
                      RunObserver const& observer, LocalLink* local, StopWatch& stop_watch) {
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
    StepLoop loop{engine,
                  scheduler,
                  channel,
                  leader ? &leader->leader : nullptr,
                  setup.checkpointer.get(),
                  counters,
                  shape.spp,
                  comm::backoff_policy(node.local_size, node.cores),
                  std::nullopt,
                  observer.step_begun,
                  [&stop_watch] { stop_watch.look(); }};
    context.between_layers = [&loop] { let_things_advance(loop); };
    if (options.inject_fault && options.inject_fault->place == FaultInjection::Place::step &&
        options.inject_fault->rank == grid.world().rank()) {
        loop.fail_at = options.inject_fault->number;
    }
    run_steps(loop);
    if (leader) {
        leader->leader.say_goodbye();
    }
    return counters;
}

int exit_code(JobServer const& server) {
    if (server.left_work()) {
        return kExitRequeue;
    }
    return server.num_failed() == 0 ? 0 : 1;
}

// On world rank 0. No rank reads or writes segments any more.
void end_output(RunSetup& setup, RunOptions const& options, JobServer const& server,
                std::string const& record) {
    if (server.left_work()) {
        setup.output->write_run_record(record);
        setup.output->write_state(
            io::RunState::requeue,
            fmt::format(
                "stopped because of {}{}", server.stopped(),
                !options.saves() ? "; nothing saved (--checkpoint-every off)" : " and saved"));
        return;
    }
    setup.output->finish();
    setup.output->write_run_record(record);
    setup.output->write_state(io::RunState::complete,
                              server.num_failed() == 0
                                  ? "all jobs done"
                                  : std::to_string(server.num_failed()) + " jobs failed");
    if (setup.checkpoint) {
        setup.checkpoint->finish_all();
    }
}

}  // namespace

int run(comm::Communicator& world, comm::NodeInfo const& node, RunOptions const& options,
        RunObserver const& observer) {
    Clock::time_point const begun = Clock::now();
    double wall_s = 0.0;
    std::optional<ScopedTimer> timer(std::in_place, wall_s);
    RunSetup setup = set_up(world, node, options, observer);
    std::unique_ptr<ServerParts> server;
    if (setup.is_server()) {
        server = std::make_unique<ServerParts>(setup, options, observer, begun);
    }
    StopWatch stop_watch(*setup.grid, observer.stop_requested);
    StepCounters const counters =
        run_rank(setup, node, options, observer, server ? &server->local : nullptr, stop_watch);

    std::int64_t code = 0;
    if (server) {
        server->thread.join();
        timer.reset();
        code = exit_code(server->server);
    }
    // Nobody reads or writes segments any more before world rank 0 removes them.
    world.barrier();
    if (server) {
        report::RunSummary summary = server->server.summary();
        summary.wall_s = wall_s;
        end_output(
            setup, options, server->server,
            run_record(setup, options, counters, server->server.counters(), summary, wall_s));
        if (observer.finished) {
            observer.finished(server->server.counters(), summary);
        }
    }
    world.all_reduce(std::span(&code, 1), comm::ReduceOp::max);
    take_late_messages(*setup.grid, stop_watch, server ? &server->server : nullptr);
    setup.grid->close();
    return static_cast<int>(code);
}

}  // namespace longhaul::engine
