#pragma once

#include "device/gpu.hpp"
#include "comm/communicator.hpp"
#include "comm/mpi_runtime.hpp"
#include "comm/process_grid.hpp"
#include "io/checkpoint_dir.hpp"
#include "io/kv_store.hpp"
#include "io/model_file.hpp"
#include "io/output_dir.hpp"
#include "io/queue_reader.hpp"
#include "schedule/chunk_scheduler.hpp"
#include "kv/kv_cache.hpp"
#include "model/weight_shard.hpp"
#include "engine/checkpointer.hpp"
#include "engine/memory_plan.hpp"
#include "engine/run_options.hpp"
#include "engine/text_model.hpp"

#include <cstdint>
#include <memory>
#include <optional>

namespace longhaul::engine {

struct RunObserver;

/// Everything of one rank that exists before the first step. Every part that touches the outside world is built
/// collectively: if a rank fails, all ranks throw SetupFailed with that rank's message.
struct RunSetup {
    std::unique_ptr<device::Gpu> gpu;  ///< with the CUDA backend; outlives what lies in its memory
    comm::GpuTransportChoice gpu_transport;
    std::unique_ptr<io::ModelFile> file;
    std::unique_ptr<comm::ProcessGrid> grid;
    kernels::ExecContext exec;
    model::Partition partition;
    MemoryPlan memory;
    model::WeightShard weights;
    std::unique_ptr<kv::KvCache> kv;
    schedule::ChunkScheduler::Options scheduling;
    std::optional<TextModel> text;           ///< on replica leaders
    std::unique_ptr<io::QueueReader> queue;  ///< on world rank 0
    std::unique_ptr<io::OutputDir> output;   ///< on world rank 0
    io::RunIdentity identity;                ///< on replica leaders
    std::unique_ptr<io::CheckpointDir>
        checkpoint;  ///< on world rank 0, where something is saved or was
    std::unique_ptr<Checkpointer> checkpointer;  ///< likewise on every rank
    std::unique_ptr<io::KvStore> store;          ///< on world rank 0, with --kv-store
    SegmentIndex const* segments = nullptr;  ///< of the checkpointer; null where nothing was saved
    double load_s = 0.0;

    [[nodiscard]] bool is_leader() { return grid->replica().rank() == 0; }
    [[nodiscard]] bool is_server() { return grid->world().rank() == 0; }
};

/// Collective over the world.
[[nodiscard]] RunSetup set_up(comm::Communicator& world, comm::NodeInfo const& node,
                              RunOptions const& options, RunObserver const& observer);

}  // namespace longhaul::engine
