#pragma once

#include "base/range.hpp"
#include "base/types.hpp"
#include "schedule/chunk_scheduler.hpp"
#include "schedule/step_plan.hpp"
#include "kernels/attention.hpp"
#include "kernels/rope_kv.hpp"

#include <cstdint>
#include <deque>
#include <vector>

namespace longhaul::engine {

/// The rows of one step as this rank sees them: one row per entry of the plan's items, in plan order.
struct StepBatch {
    std::int64_t num_rows = 0;
    std::vector<Range> item_rows;         ///< rows of each plan item
    std::vector<TokenId> tokens;          ///< input token of each row
    std::vector<std::int64_t> positions;  ///< rope position of each row
    std::vector<kernels::KvSlot> slots;   ///< where its K/V go; block -1: another KVP rank's
    std::vector<kernels::AttentionItem>
        attention;  ///< work list over this rank's blocks; spans into the members below

    /// Rows whose sequence is spread over KVP ranks, and those that live whole on one coordinate (by coordinate).
    std::vector<std::int32_t> striped_rows;
    std::vector<std::vector<std::int32_t>> single_rows;

    std::deque<std::vector<std::int32_t>> row_lists;
    std::deque<std::vector<kernels::KvExtent>> extent_lists;
    std::deque<std::vector<std::int64_t>> visible_lists;
};

/// Lays out the rows and the attention work list of a step for one KVP coordinate.
///
/// The slots a row sees are always cut in the same way, whatever the company: the document up to the sequence's cut (one
/// item for all rows that share it, so that ten questions read their document once), the rest of the history, and the
/// chunk's own entries under the causal mask. Each entry is attended exactly once, by its owner.
[[nodiscard]] StepBatch build_step_batch(schedule::StepPlan const& plan,
                                         schedule::ChunkScheduler const& scheduler,
                                         std::int64_t coordinate);

}  // namespace longhaul::engine
