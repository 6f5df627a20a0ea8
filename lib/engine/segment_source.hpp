#pragma once

#include "base/range.hpp"
#include "schedule/chunk_scheduler.hpp"
#include "schedule/step_plan.hpp"
#include "engine/batch_arrays.hpp"
#include "engine/embedding_reader.hpp"
#include "engine/rank_context.hpp"
#include "engine/step_batch.hpp"

#include <cstdint>
#include <optional>

namespace longhaul::engine {

/// Gives the first stage its rows: token entries through the embedding table, embedding entries from their files.
///
/// The ranks of the stage share the work and a sum brings it together: each has the tokens of its slice of the vocabulary
/// and every so-many-th tile of a file, and zeros for the rest. So a file is read once per replica, and a row that one
/// rank cannot read is the same NaN on all of them.
class SegmentSource {
  public:
    explicit SegmentSource(RankContext& context) : context_(context) {}

    /// Fills hidden [batch.num_rows, D] with the input of the plan's entries. Collective over the stage.
    void embed(schedule::StepPlan const& plan, schedule::ChunkScheduler const& scheduler,
               StepBatch const& batch, BatchArrays const& arrays, float* hidden);

  private:
    void copy_rows(schedule::EmbeddingSpan const& span, Range entries, float* out);
    void read_ahead(schedule::EmbeddingSpan const& span, std::int64_t next, std::int64_t rows);
    [[nodiscard]] bool is_mine(std::int64_t tile);
    [[nodiscard]] EmbeddingReader& reader();

    RankContext& context_;
    std::optional<EmbeddingReader> reader_;  // from the first file on
};

}  // namespace longhaul::engine
