#include "engine/run_setup.hpp"

#include "base/error.hpp"
#include "comm/agree.hpp"
#include "engine/checkpoint_setup.hpp"
#include "engine/run.hpp"
#include "engine/step_counters.hpp"

#include <algorithm>
#include <span>
#include <stdexcept>
#include <string>

namespace longhaul::engine {
namespace {

void check_options(RunOptions const& options) {
    LH_VALIDATE(options.chunk >= 1 && options.chunk <= 65536,
                "--chunk {} is out of range; use 1 to 65536", options.chunk);
    LH_VALIDATE(options.max_batch >= 1 && options.max_batch <= 4096,
                "--max-batch {} is out of range; use 1 to 4096", options.max_batch);
    LH_VALIDATE(
        options.block_slots >= 16 && options.block_slots <= 1024 && options.block_slots % 16 == 0,
        "--block-slots {} is not possible; use a multiple of 16 from 16 to 1024",
        options.block_slots);
    LH_VALIDATE(options.threads >= 0 && options.threads <= 1024,
                "--threads {} is out of range; use 1 to 1024, or 0", options.threads);
    LH_VALIDATE(!options.kv_bytes || *options.kv_bytes > 0, "--kv-memory must be positive");
}

void say(comm::Communicator& world, RunObserver const& observer, std::string const& text) {
    if (world.rank() == 0 && observer.info) {
        observer.info(text);
    }
}

std::string describe_model(io::ModelFile const& file) {
    ModelConfig const& c = file.config();
    return fmt::format(
        "model: {} ({}, {} layers, width {}, {} query / {} KV heads of {}, vocabulary {})",
        c.name.empty() ? file.path().filename().string() : c.name, file.format(), c.num_layers,
        c.hidden_dim, c.num_heads, c.num_kv_heads, c.head_dim, c.vocab_size);
}

void open_model(RunSetup& setup, comm::Communicator& world, RunOptions const& options) {
    comm::agree_on(world, [&] {
        check_options(options);
        if (options.inject_fault && options.inject_fault->place == FaultInjection::Place::setup &&
            options.inject_fault->rank == world.rank()) {
            throw std::runtime_error("rehearsed failure during set-up (--inject-fault)");
        }
        setup.file = options.random_weights
                         ? io::ModelFile::open_random(options.model, *options.random_weights)
                         : io::ModelFile::open(options.model);
    });
    std::string const same = options.describe() + " model-fingerprint=" + setup.file->fingerprint();
    comm::agree_equal(world, std::as_bytes(std::span(same.data(), same.size())),
                      "options or another model file");
}

void build_grid(RunSetup& setup, comm::Communicator& world, RunOptions const& options) {
    comm::GridShape shape;
    comm::agree_on(world, [&] {
        shape = comm::resolve_grid(world.size(), options.replicas, options.spp, options.kvp,
                                   options.tp, setup.file->config());
    });
    setup.grid = std::make_unique<comm::ProcessGrid>(world, shape);
    comm::GridCoord const& at = setup.grid->coord();
    setup.partition = model::make_partition(setup.file->config(),
                                            {shape.spp, shape.kvp, shape.tp, at.spp, at.kvp, at.tp},
                                            options.chunk);
}

void open_gpu(RunSetup& setup, comm::NodeInfo const& node, RunObserver const& observer) {
    comm::Communicator& world = setup.grid->world();
    setup.gpu = comm::open_gpu(world, node.local_rank);
    setup.exec.gpu = setup.gpu.get();
    device::GpuInfo const& info = setup.gpu->info();
    setup.gpu_transport = comm::choose_gpu_transport(world, info);
    comm::GpuTransportChoice const& choice = setup.gpu_transport;
    say(world, observer,
        fmt::format("gpu: {}, sm_{}, {} rank{} on it; {}", info.name, info.capability,
                    choice.ranks_on_gpu, choice.ranks_on_gpu == 1 ? "" : "s",
                    comm::describe(choice, world)));
    setup.grid->use_gpu(*setup.gpu, choice.transport);
}

/// What NCCL takes with the first messages of every group, and the room for sums.
std::int64_t nccl_reserve(RunSetup const& setup, RunOptions const& options) {
    constexpr std::int64_t kConnections = std::int64_t{512} << 20;
    return kConnections + stage_sum_bytes(setup.file->config(), options);
}

MemoryBudget memory_budget(RunSetup const& setup, comm::NodeInfo const& node,
                           RunOptions const& options) {
    if (!setup.gpu) {
        return host_budget(node.local_size);
    }
    MemoryBudget budget = gpu_budget(*setup.gpu, setup.gpu_transport.ranks_on_gpu, node.local_size);
    if (setup.gpu_transport.transport == comm::GpuTransport::nccl) {
        budget.reserve += nccl_reserve(setup, options);
    }
    return budget;
}

void load_weights(RunSetup& setup, RunOptions const& options) {
    ScopedTimer const timer(setup.load_s);
    comm::agree_on(setup.grid->world(), [&] {
        model::LoadOptions const load{options.dtype, options.kvp_weights, setup.grid->coord().kvp};
        setup.weights = model::load_weight_shard(*setup.file, setup.partition, load, setup.exec);
        auto const k = static_cast<std::size_t>(setup.grid->coord().kvp);
        setup.kv = std::make_unique<kv::KvCache>(
            kv_layout(setup.file->config(), setup.partition, options),
            setup.partition.layers.size(), setup.memory.capacity[k], setup.gpu.get());
    });
}

void open_queue_and_output(RunSetup& setup, RunOptions const& options) {
    comm::agree_on(setup.grid->world(), [&] {
        if (setup.is_leader()) {
            setup.text.emplace(make_text_model(*setup.file));
            setup.identity = {setup.file->fingerprint(), dtype_name(options.dtype),
                              setup.text->fingerprint(), setup.file->config().name};
        }
        if (setup.is_server()) {
            setup.queue = std::make_unique<io::QueueReader>(options.queue);
            setup.output = std::make_unique<io::OutputDir>(options.output, setup.identity);
        }
    });
}

}  // namespace

RunSetup set_up(comm::Communicator& world, comm::NodeInfo const& node, RunOptions const& options,
                RunObserver const& observer) {
    RunSetup setup;
    open_model(setup, world, options);
    say(world, observer, describe_model(*setup.file));
    build_grid(setup, world, options);
    comm::GridShape const& shape = setup.grid->shape();
    say(world, observer,
        "grid: " + comm::explain(shape, options.replicas, options.spp, options.kvp, options.tp));

    setup.exec.backend = options.backend;
    setup.exec.threads =
        options.threads > 0 ? options.threads : std::max(1, node.cores / node.local_size);
    say(world, observer,
        fmt::format("run: dtype {}, backend {}, {} thread{} per rank, chunk {}, batch {}, KV "
                    "policy {}, KVP weights {}{}",
                    dtype_name(options.dtype), backend_name(options.backend), setup.exec.threads,
                    setup.exec.threads == 1 ? "" : "s", options.chunk, options.max_batch,
                    kv_policy_name(options.kv_policy), weight_storage_name(options.kvp_weights),
                    options.deterministic ? ", deterministic" : ""));

    if (options.backend == kernels::Backend::cuda) {
        open_gpu(setup, node, observer);
    }
    setup.memory = plan_memory(*setup.grid, setup.file->config(), setup.partition, options,
                               memory_budget(setup, node, options));
    say(world, observer, "memory:\n" + describe(setup.memory, shape, options.block_slots));
    setup.scheduling.chunk = options.chunk;
    setup.scheduling.max_batch = options.max_batch;
    setup.scheduling.kv.block_slots = options.block_slots;
    setup.scheduling.kv.policy = shape.kvp == 1 ? schedule::KvPolicy::striped : options.kv_policy;
    setup.scheduling.kv.capacity = setup.memory.capacity;
    open_queue_and_output(setup, options);
    load_weights(setup, options);
    open_checkpoint(setup, options, observer);
    comm::agree_on(world, [&] {
        if (setup.is_server()) {
            setup.output->write_state(io::RunState::running, "started");
        }
    });
    setup.grid->start_watchdog();
    return setup;
}

}  // namespace longhaul::engine
