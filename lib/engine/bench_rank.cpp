#include "engine/bench_rank.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/random_matrix.hpp"
#include "kernels/random_fill.hpp"
#include "engine/memory_plan.hpp"
#include "engine/step_parts.hpp"

#include <utility>

namespace longhaul::engine {
namespace {

std::unique_ptr<device::Gpu> open_gpu(kernels::ExecContext const& exec) {
    return exec.backend == kernels::Backend::cuda ? std::make_unique<device::Gpu>(0) : nullptr;
}

comm::ProcessGrid make_grid(comm::Communicator& world, BenchRankOptions const& options,
                            ModelConfig const& config, device::Gpu const* gpu) {
    if (!options.emulated) {
        return {world, {}};
    }
    auto const& [grid, rank, link] = *options.emulated;
    // For its checks of the model.
    static_cast<void>(
        comm::resolve_grid(grid.product(), grid.replicas, grid.spp, grid.kvp, grid.tp, config));
    return {grid, rank, link, gpu};
}

model::Partition make_share(comm::ProcessGrid const& grid, ModelConfig const& config,
                            std::int64_t chunk) {
    comm::GridShape const& shape = grid.shape();
    comm::GridCoord const& at = grid.coord();
    return model::make_partition(config, {shape.spp, shape.kvp, shape.tp, at.spp, at.kvp, at.tp},
                                 chunk);
}

kernels::ExecContext with_gpu(kernels::ExecContext exec, device::Gpu* gpu) {
    exec.gpu = gpu;
    return exec;
}

RunOptions run_options(BenchRankOptions const& options) {
    RunOptions run;
    run.chunk = options.chunk;
    run.max_batch = options.sequences;
    run.block_slots = options.block_slots;
    run.dtype = options.dtype;
    run.backend = options.exec.backend;
    run.checkpoint_every.seconds.reset();
    return run;
}

}  // namespace

BenchRank::BenchRank(comm::Communicator& world, BenchRankOptions const& options)
    : gpu_(open_gpu(options.exec)),
      file_(options.random_weights
                ? io::ModelFile::open_random(options.model, *options.random_weights)
                : io::ModelFile::open(options.model)),
      exec_(with_gpu(options.exec, gpu_.get())),
      grid_(make_grid(world, options, file_->config(), gpu_.get())) {
    LH_EXPECT(world.size() == 1 && options.sequences > 0 && options.slots > 0);
    reserve_kv(options);
    weights_ = model::load_weight_shard(
        *file_, make_share(grid_, config(), options.chunk),
        {options.dtype, model::WeightStorage::sharded, grid_.coord().kvp}, exec_);
    schedule::ChunkScheduler::Options scheduling;
    scheduling.chunk = options.chunk;
    scheduling.max_batch = options.sequences;
    scheduling.kv.block_slots = options.block_slots;
    scheduling.kv.policy = schedule::KvPolicy::striped;
    scheduling.kv.capacity.assign(static_cast<std::size_t>(grid_.shape().kvp), kv_->capacity());
    scheduler_.emplace(scheduling);
    context_.emplace(
        RankContext{grid_, weights_, *kv_, exec_, /*deterministic=*/false, counters_, {}});
    engine_.emplace(*context_, scheduler_->max_rows());
}

void BenchRank::reserve_kv(BenchRankOptions const& options) {
    RunOptions const run = run_options(options);
    model::Partition const partition = make_share(grid_, config(), options.chunk);
    MemoryBudget budget = gpu_ ? gpu_budget(*gpu_, 1, 1) : host_budget(1);
    if (gpu_ && grid_.linear().size() > 1) {
        budget.reserve += stage_sum_bytes(config(), run);
    }
    MemoryPlan const plan = plan_memory(grid_, config(), partition, run, budget);
    // Blocks are dealt to the KVP coordinates in turn, to every sequence anew.
    std::int64_t const blocks =
        options.sequences *
        ceil_div(ceil_div(options.slots, options.block_slots), grid_.shape().kvp);
    LH_VALIDATE(blocks <= plan.capacity.front(),
                "{} sequence(s) of {} tokens do not fit: memory leaves room for {} tokens of KV "
                "({}); ask for less context or a smaller batch",
                options.sequences, options.slots, plan.kv_slots(options.block_slots), plan.source);
    kv_ = std::make_unique<kv::KvCache>(kv_layout(config(), partition, run),
                                        partition.layers.size(), blocks, gpu_.get());
}

void BenchRank::fill_kv(std::uint64_t seed) {
    constexpr double kDeviation = 0.5;
    DType const dtype = kv_->layout().dtype;
    std::int64_t const elements = kv_->layout().block_bytes() / dtype_bytes(dtype);
    for (std::int64_t layer = 0; layer < weights_.partition.layers.size(); ++layer) {
        RandomMatrix const pool =
            make_random_matrix(seed, static_cast<std::uint64_t>(layer), elements, kDeviation);
        kernels::fill_random(exec_, pool, {0, kv_->capacity()}, {0, elements},
                             kv_->layer_pool(layer), dtype);
    }
}

void BenchRank::admit(SequenceId id, std::int64_t length, std::int64_t max_new_tokens,
                      std::int64_t loaded) {
    schedule::SequenceSpec spec;
    spec.id = id;
    spec.max_new_tokens = max_new_tokens;
    spec.load_entries = loaded;
    spec.prompt.reserve(static_cast<std::size_t>(length));
    std::uint64_t const key = RandomMatrix::mix(static_cast<std::uint64_t>(id) + 1);
    for (std::int64_t i = 0; i < length; ++i) {
        std::uint64_t const bits = RandomMatrix::mix(key + static_cast<std::uint64_t>(i));
        spec.prompt.push_back(
            static_cast<TokenId>(bits % static_cast<std::uint64_t>(config().vocab_size)));
    }
    inputs_.admissions.push_back(std::move(spec));
}

void BenchRank::end(SequenceId id) { inputs_.ended.push_back({id, schedule::EndReason::length}); }

BenchRank::Step BenchRank::step() {
    inputs_.step = next_ - 1;
    scheduler_->apply(std::exchange(inputs_, {}));
    schedule::StepPlan const plan = scheduler_->plan(next_++);
    for (SequenceId const id : plan.loads) {
        inputs_.loaded.push_back({id, scheduler_->sequence(id).spec.load_entries});
    }
    Step done{plan.num_rows(), 0};
    std::optional<StepOutcome> const outcome = engine_->submit(plan, *scheduler_);
    // Of sampling. Where no token is chosen, a graph's mark would be the last one.
    mark(*context_, StepPart::other);
    take(plan, outcome, done);
    if (context_->clock != nullptr) {
        std::vector<double> const seconds = clock_->read();
        for (std::size_t part = 0; part < seconds.size(); ++part) {
            counters_.part_s.at(part) += seconds[part];
        }
    }
    return done;
}

void BenchRank::take(schedule::StepPlan const& plan, std::optional<StepOutcome> const& outcome,
                     Step& done) {
    auto const feed = [&](SequenceId id, std::int64_t index, TokenId token) {
        inputs_.tokens.push_back({id, index, token, schedule::EndReason::none});
        ++done.tokens;
    };
    if (outcome) {
        for (SampleOutcome const& sample : outcome->samples) {
            LH_VALIDATE(
                sample.finite,
                "the logits of sequence {} are not finite; use another seed, or a sound model",
                sample.sequence);
            feed(sample.sequence, sample.index, sample.token);
        }
        return;
    }
    for (schedule::PlanItem const& item : plan.items) {
        if (item.sample) {
            feed(item.sequence, item.end, static_cast<TokenId>(item.end % config().vocab_size));
        }
    }
    if (done.tokens > 0) {
        wait();  // as a last stage does, which reads the token
    }
}

void BenchRank::watch_parts(bool on) {
    if (!gpu_) {
        return;
    }
    if (!clock_) {
        clock_.emplace(*gpu_, kNumStepParts);  // for good: recorded graphs have its marks in them
    }
    context_->clock = on ? &*clock_ : nullptr;
}

void BenchRank::wait() const {
    if (gpu_) {
        gpu_->synchronize();
    }
}

}  // namespace longhaul::engine
