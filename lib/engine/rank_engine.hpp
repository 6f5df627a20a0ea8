#pragma once

#include "device/buffer.hpp"
#include "schedule/chunk_scheduler.hpp"
#include "engine/batch_arrays.hpp"
#include "engine/layer_runner.hpp"
#include "engine/output_head.hpp"
#include "engine/rank_context.hpp"
#include "engine/segment_source.hpp"
#include "engine/step_outcome.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace longhaul::engine {

/// Runs the steps of one rank: receives the hidden state from the stage before (or embeds), runs the layers of its stage,
/// sends on (or computes logits). Stages work on different steps at the same time; a rank works in step order.
///
/// What must have happened before stage s runs step k:
///   plan k is known        <- StepInputs of step k - spp were received
///   rows of step k arrived <- stage s - 1 finished step k
/// and nothing else: no barrier, no waiting for later stages. Sends complete in the background.
class RankEngine {
  public:
    RankEngine(RankContext& context, std::int64_t max_rows);

    /// Runs one step on this rank; the last stage returns what it produced. A plan without rows costs nothing.
    /// Collective over the stage; the stages of a pipeline call it for the same plans in the same order.
    [[nodiscard]] std::optional<StepOutcome> submit(schedule::StepPlan const& plan,
                                                    schedule::ChunkScheduler const& scheduler);

    /// Lets sends advance; called between layers.
    void progress() {
        context_.grid.pipeline().progress();
        reap_sends();
    }

    /// Waits until everything sent has left.
    void drain();

  private:
    struct PendingSend {
        std::vector<float> data;  // of the host; a GPU's is sent from where it is
        comm::Request request;
    };

    void scrub(schedule::StepPlan const& plan);
    void receive_hidden(StepBatch const& batch);
    void send_hidden(StepBatch const& batch);
    void reap_sends();
    [[nodiscard]] std::size_t hidden_bytes(StepBatch const& batch) const;

    RankContext& context_;
    LayerRunner layers_;
    std::optional<SegmentSource> source_;  // first stage
    std::optional<OutputHead> head_;       // last stage
    BatchUploader uploader_;
    device::Buffer hidden_;  // [max_rows, D] f32
    std::deque<PendingSend> sends_;
};

}  // namespace longhaul::engine
