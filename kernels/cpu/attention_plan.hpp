#pragma once

#include "kernels/attention.hpp"

#include <cstdint>
#include <vector>

namespace longhaul::kernels::cpu {

/// Slots of one KV split. Every split has an online softmax of its own and is folded into its rows' results in order, so
/// that it does not matter which thread computes it.
inline constexpr std::int64_t kSplitSlots = 1024;

/// Some consecutive blocks of an item, counted over its extents.
struct KvSplit {
    std::int64_t extent = 0;  ///< where it starts: extent and block in it
    std::int64_t offset = 0;
    std::int64_t blocks = 0;
};

/// Packed rows of one item and KV head, and the order of its splits.
struct TileWork {
    std::int64_t item = 0;
    std::int64_t kv_head = 0;
    std::int64_t first_row = 0;  ///< packed
    std::int64_t rows = 0;
    std::int64_t splits_folded = 0;  ///< counted up by the threads that work on the tile's tasks
};

/// One thread's piece: some consecutive splits of a tile.
struct AttentionTask {
    std::int64_t tile = 0;
    std::int64_t first_split = 0;  ///< counted from the item's first
    std::int64_t num_splits = 0;
};

/// The tasks of one call. Items that share a row stand in different levels, which run one after the other: a row's results
/// merge in item order. Within a level, the tasks of one tile stand in split order.
struct AttentionPlan {
    std::vector<KvSplit> splits;
    std::vector<std::int64_t> item_splits;  ///< first split of each item, and the end
    std::vector<TileWork> tiles;
    std::vector<AttentionTask> tasks;
    std::vector<std::int64_t> level_tasks;  ///< first task of each level, and the end
    std::vector<std::int64_t> next_task;    ///< of each level; counted up by the threads
    std::vector<std::int64_t> item_level;
    std::vector<std::int64_t> row_level;

    [[nodiscard]] std::int64_t num_levels() const { return std::ssize(level_tasks) - 1; }
    /// Rebuilds the plan, reusing its memory.
    void build(AttentionArgs const& args, int threads);

  private:
    void cut_splits(AttentionArgs const& args);
    void assign_levels(AttentionArgs const& args);
    void add_level(AttentionArgs const& args, std::int64_t level, int threads);
};

}  // namespace longhaul::kernels::cpu
