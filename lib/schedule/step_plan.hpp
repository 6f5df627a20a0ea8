#pragma once

#include "base/types.hpp"
#include "schedule/block_table.hpp"

#include <cstdint>
#include <vector>

namespace longhaul::schedule {

/// How the ranks of a stage share the work of a step (design section 2). `token_split` joins with its prefill strategies.
enum class Execution { sharded };

/// Entries [begin, end) of one sequence, processed in one step: a prefill chunk, or one decoded token.
struct PlanItem {
    SequenceId sequence = -1;
    std::int64_t begin = 0;
    std::int64_t end = 0;
    bool decode = false;  ///< the entry is a generated token
    bool sample = false;  ///< the last entry yields the next token
    bool score = false;   ///< every entry yields the log-probability of its successor

    [[nodiscard]] std::int64_t size() const { return end - begin; }
};

/// One pass through the layers: decodes first, then prefill chunks (a mixed batch). Decided, not done.
struct StepPlan {
    StepIndex step = -1;
    Execution execution = Execution::sharded;
    std::vector<PlanItem> items;
    std::vector<SequenceId>
        retired;  ///< sequences whose state may be dropped before this step runs
    std::vector<BlockRef>
        scrub;  ///< blocks to zero before this step runs: they may hold NaN of a failed sequence
    std::vector<SequenceId>
        loads;           ///< sequences whose saved entries are to be loaded into their blocks
    bool epoch = false;  ///< when this step is done, what the manifest will name is saved
    bool last = false;   ///< no step follows

    [[nodiscard]] bool empty() const { return items.empty(); }
    [[nodiscard]] std::int64_t num_rows() const {
        std::int64_t rows = 0;
        for (PlanItem const& item : items) {
            rows += item.size();
        }
        return rows;
    }
};

}  // namespace longhaul::schedule
