#include "engine/memory_plan.hpp"

#include "base/checked.hpp"
#include "comm/agree.hpp"
#include "kernels/attention.hpp"
#include "kv/kv_cache.hpp"
#include "engine/layer_runner.hpp"
#include "engine/node_memory.hpp"
#include "engine/output_head.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <span>

namespace longhaul::engine {
namespace {

constexpr double kMiB = 1024.0 * 1024.0;

double mib(std::int64_t bytes) { return static_cast<double>(bytes) / kMiB; }

// The loader's scratch, the tokenizer, message buffers, embeddings read ahead and the C++ runtime.
constexpr std::int64_t kHostReserve = std::int64_t{96} << 20;

// What the GPU's runtime and libraries take for kernels and their own workspace.
constexpr std::int64_t kGpuReserve = std::int64_t{640} << 20;

/// Of a GPU, besides the layers' workspace: partial results of attention and the messages over KVP.
std::int64_t gpu_work_bytes(ModelConfig const& config, model::Partition const& partition,
                            RunOptions const& options, std::int64_t max_rows,
                            std::int64_t kv_blocks) {
    kernels::AttentionWork::Shape const shape{kv_layout(config, partition, options),
                                              partition.heads.size(), options.deterministic};
    std::int64_t bytes =
        kernels::AttentionWork::partial_bytes(shape, max_rows, kv_blocks * options.block_slots);
    if (partition.projection.size() > 1) {
        // What goes to the others, what comes from them, and the merged rows where not all are.
        bytes +=
            3 * max_rows * partition.heads.size() * (config.head_dim + 1) * dtype_bytes(DType::f32);
    }
    return bytes;
}

// A GPU fills its cache faster than a disk writes while a document is young; later it is the other way round. What is behind
// at most is some GB, and the larger the buffer, the longer the segments, and the fewer are merged while the disk is busy.
std::int64_t default_checkpoint_buffer(RunOptions const& options, MemoryBudget const& limit) {
    bool const on_gpu = options.backend == kernels::Backend::cuda;
    return std::min((on_gpu ? std::int64_t{4096} : std::int64_t{256}) << 20, limit.host_bytes / 16);
}

RankMemory own_memory(ModelConfig const& config, model::Partition const& partition,
                      std::int64_t kvp_index, RunOptions const& options,
                      MemoryBudget const& limit) {
    std::int64_t const budget = limit.bytes;
    RankMemory memory;
    std::int64_t const max_rows = options.chunk + options.max_batch;
    memory.budget = budget;
    memory.weights =
        model::weight_bytes(config, partition, kvp_index, options.kvp_weights, options.dtype);
    memory.workspace =
        workspace_bytes(config, partition, kvp_index, options.backend, options.dtype, max_rows) +
        max_rows * config.hidden_dim * dtype_bytes(DType::f32);
    if (partition.last_stage) {
        memory.workspace +=
            kLogitRows * (partition.vocab.size() + 2 * config.hidden_dim) * dtype_bytes(DType::f32);
    }
    if (options.saves()) {
        memory.checkpoint_buffer =
            options.checkpoint_buffer.value_or(default_checkpoint_buffer(options, limit));
        if (options.backend != kernels::Backend::cuda) {  // there it is pinned host memory
            memory.workspace += memory.checkpoint_buffer;
        }
    }
    memory.bytes_per_block = kv::KvCache::bytes_per_block(kv_layout(config, partition, options),
                                                          partition.layers.size());
    bool const on_gpu = options.backend == kernels::Backend::cuda;
    auto const gpu_workspace = [&](std::int64_t kv_blocks) {
        return on_gpu ? gpu_work_bytes(config, partition, options, max_rows, kv_blocks) : 0;
    };
    std::int64_t const left =
        budget - memory.weights - memory.workspace - limit.reserve - gpu_workspace(0);
    // What a block costs besides itself: it is longer parts of attention that leave partial results.
    constexpr std::int64_t kMany = std::int64_t{1} << 20;
    std::int64_t const per_block =
        memory.bytes_per_block + ceil_div(gpu_workspace(kMany) - gpu_workspace(0), kMany);
    memory.kv_blocks = std::max<std::int64_t>(
        0, options.kv_bytes ? *options.kv_bytes / memory.bytes_per_block : left / per_block);
    memory.workspace += gpu_workspace(memory.kv_blocks);
    return memory;
}

std::optional<std::string> find_problem(RankMemory const& memory, RunOptions const& options,
                                        MemoryBudget const& limit) {
    std::string const& source = limit.source;
    std::int64_t const fixed = memory.weights + memory.workspace + limit.reserve;
    if (fixed > memory.budget) {
        bool const on_gpu = options.backend == kernels::Backend::cuda;
        return fmt::format(
            "the model does not fit: this rank needs {:.0f} MiB for weights and workspace, and its "
            "share of the {} is {:.0f} MiB; use more ranks for --spp or --tp, fewer ranks per {}, "
            "a smaller --chunk{}{}",
            mib(fixed), on_gpu ? source : fmt::format("node's memory ({})", source),
            mib(memory.budget), on_gpu ? "GPU" : "node",
            on_gpu ? ", or end other programs on the GPU (see nvidia-smi)"
                   : " or --checkpoint-buffer",
            options.dtype == DType::bf16 ? "" : ", or --dtype bf16");
    }
    if (options.kv_bytes && fixed + *options.kv_bytes > memory.budget) {
        return fmt::format(
            "--kv-memory {} does not fit: weights and workspace leave {:.0f} MiB of this rank's "
            "{:.0f} MiB ({}); ask for less, or leave it out to get what is left",
            *options.kv_bytes, mib(memory.budget - fixed), mib(memory.budget), source);
    }
    if (memory.checkpoint_buffer > limit.host_bytes) {  // of a GPU's rank: else it has been counted
        return fmt::format(
            "--checkpoint-buffer {} does not fit: this rank's share of the host's memory is "
            "{:.0f} MiB; ask for less, or leave it out",
            memory.checkpoint_buffer, mib(limit.host_bytes));
    }
    if (memory.kv_blocks < 1) {
        return fmt::format(
            "no room for a single KV block of {:.1f} MiB; raise --kv-memory, lower --block-slots, "
            "or use more "
            "ranks for --kvp or --spp",
            mib(memory.bytes_per_block));
    }
    return std::nullopt;
}

}  // namespace

std::int64_t MemoryPlan::kv_slots(std::int64_t block_slots) const {
    std::int64_t const least = *std::min_element(capacity.begin(), capacity.end());
    return least * static_cast<std::int64_t>(capacity.size()) * block_slots;
}

kernels::KvLayout kv_layout(ModelConfig const& config, model::Partition const& partition,
                            RunOptions const& options) {
    kernels::KvLayout layout{options.dtype, options.block_slots, partition.kv_heads.size(),
                             config.head_dim, config.head_dim};
    if (options.backend == kernels::Backend::cuda) {
        layout.packing = kernels::KvPacking::rows;
    }
    return layout;
}

MemoryBudget host_budget(int local_ranks) {
    NodeMemory const node = node_memory();
    // A tenth stays with the system and the page cache of the model file.
    std::int64_t const share = node.bytes / 10 * 9 / local_ranks;
    return {share, kHostReserve, node.source, share};
}

MemoryBudget gpu_budget(device::Gpu const& gpu, int ranks_on_it, int local_ranks) {
    // Fragments and other users' small allocations.
    return {gpu.free_bytes() / 100 * 97 / ranks_on_it, kGpuReserve, "free memory of the GPU",
            host_budget(local_ranks).bytes};
}

std::int64_t stage_sum_bytes(ModelConfig const& config, RunOptions const& options) {
    return 2 * (options.chunk + options.max_batch) * config.hidden_dim * dtype_bytes(DType::f32);
}

MemoryPlan plan_memory(comm::ProcessGrid& grid, ModelConfig const& config,
                       model::Partition const& partition, RunOptions const& options,
                       MemoryBudget const& budget) {
    MemoryPlan plan;
    plan.source = budget.source;
    plan.mine = own_memory(config, partition, grid.coord().kvp, options, budget);
    comm::agree(grid.world(), find_problem(plan.mine, options, budget));

    plan.capacity.assign(static_cast<std::size_t>(grid.shape().kvp),
                         std::numeric_limits<std::int64_t>::max());
    plan.capacity[static_cast<std::size_t>(grid.coord().kvp)] = plan.mine.kv_blocks;
    grid.replica().all_reduce(plan.capacity, comm::ReduceOp::min);

    plan.ranks.resize(static_cast<std::size_t>(grid.world().size()));
    grid.world().all_gather(std::as_bytes(std::span(&plan.mine, 1)),
                            std::as_writable_bytes(std::span(plan.ranks)));
    return plan;
}

std::string describe(MemoryPlan const& plan, comm::GridShape const& shape,
                     std::int64_t block_slots) {
    constexpr std::size_t kMostLines = 16;
    auto const total = [](RankMemory const& memory) { return memory.weights + memory.workspace; };
    auto const heaviest =
        std::max_element(plan.ranks.begin(), plan.ranks.end(),
                         [&](auto const& a, auto const& b) { return total(a) < total(b); });
    std::string text;
    for (std::size_t rank = 0; rank < plan.ranks.size(); ++rank) {
        auto const here = plan.ranks.begin() + static_cast<std::ptrdiff_t>(rank);
        if (plan.ranks.size() > kMostLines && here != heaviest) {
            continue;
        }
        comm::GridCoord const at = comm::coord_of(shape, static_cast<std::int64_t>(rank));
        std::int64_t const blocks =
            std::min(here->kv_blocks, plan.capacity[static_cast<std::size_t>(at.kvp)]);
        text += fmt::format(
            "  rank {:>3} (replica {}, stage {}, kvp {}, tp {}): weights {:.1f} MiB, workspace "
            "{:.1f} MiB, KV up to {:.1f} MiB "
            "({} blocks){}\n",
            rank, at.replica, at.spp, at.kvp, at.tp, mib(here->weights), mib(here->workspace),
            mib(blocks * here->bytes_per_block), blocks,
            plan.ranks.size() > 1 && here == heaviest ? ", the heaviest" : "");
    }
    text += fmt::format("  one replica holds up to {} tokens of KV (bound by {})",
                        plan.kv_slots(block_slots), plan.source);
    return text;
}

}  // namespace longhaul::engine
