#pragma once

#include "device/buffer.hpp"
#include "device/step_arena.hpp"
#include "schedule/chunk_scheduler.hpp"
#include "engine/rank_context.hpp"
#include "engine/step_batch.hpp"
#include "engine/step_outcome.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace longhaul::engine {

/// Rows whose logits exist at one time: never a [tokens x vocabulary] array.
inline constexpr std::int64_t kLogitRows = 64;

/// Final norm, LM head and sampling on the last stage. The vocabulary is split over the kvp x tp ranks; each summarises
/// its slice and the summaries merge in rank order, so every rank of the stage knows the outcome.
class OutputHead {
  public:
    explicit OutputHead(RankContext& context);

    /// hidden [rows, D] f32. Collective over the stage.
    [[nodiscard]] StepOutcome run(schedule::StepPlan const& plan,
                                  schedule::ChunkScheduler const& scheduler, StepBatch const& batch,
                                  float const* hidden);

  private:
    struct Row {
        std::int64_t row = 0;  // of the batch
        std::size_t item = 0;  // of the plan
        kernels::LogitQuery query;
    };

    void add_rows(schedule::PlanItem const& item, std::size_t item_number,
                  schedule::Sequence const& sequence, Range rows, std::vector<Row>& out) const;
    void summarize(float const* hidden, std::vector<Row> const& rows,
                   std::vector<kernels::LogitSummary>& summaries);
    void summarize_tile(float const* hidden, std::span<Row const> rows,
                        std::span<std::int32_t const> numbers, kernels::LogitSummary* summaries);
    void merge_over_stage(std::vector<Row> const& rows,
                          std::vector<kernels::LogitSummary>& summaries);

    RankContext& context_;
    ModelConfig const& config_;
    device::StepArena arena_;  // row numbers
    // In the backend's memory.
    device::Buffer gathered_;  // [kLogitRows, D] f32
    device::Buffer normed_;    // [kLogitRows, D] dtype
    device::Buffer logits_;    // [kLogitRows, vocab slice] f32
};

}  // namespace longhaul::engine
