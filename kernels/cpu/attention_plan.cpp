#include "kernels/cpu/attention_plan.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"
#include "kernels/cpu/attention_kernel.hpp"

#include <algorithm>
#include <iterator>

namespace longhaul::kernels::cpu {
namespace {

/// Tasks per thread to aim at, so that the last ones end together.
constexpr std::int64_t kTasksPerThread = 8;
/// Reading the tiles costs as much as this many rows of arithmetic.
constexpr std::int64_t kRowsFloor = 8;

bool meets(KvExtent const& extent, std::int64_t offset, std::int64_t count,
           std::int64_t block_slots, AttentionItem const& item) {
    std::int64_t const first = extent.first_slot + offset * extent.slot_stride;
    std::int64_t const end = first + (count - 1) * extent.slot_stride + block_slots;
    return first < item.slot_end && end > item.slot_begin;
}

}  // namespace

void AttentionPlan::cut_splits(AttentionArgs const& args) {
    std::int64_t const block_slots = args.layout.block_slots;
    std::int64_t const split_blocks = std::max<std::int64_t>(1, kSplitSlots / block_slots);
    splits.clear();
    item_splits.assign(1, 0);
    for (AttentionItem const& item : args.items) {
        KvSplit split;
        bool seen = false;
        for (std::int64_t index = 0; index < std::ssize(item.extents); ++index) {
            KvExtent const& extent = item.extents[index];
            for (std::int64_t offset = 0; offset < extent.count;) {
                if (split.blocks == 0) {
                    split = {index, offset, 0};
                    seen = false;
                }
                std::int64_t const taken =
                    std::min(split_blocks - split.blocks, extent.count - offset);
                seen = seen || meets(extent, offset, taken, block_slots, item);
                split.blocks += taken;
                offset += taken;
                if (split.blocks == split_blocks) {
                    if (seen) {
                        splits.push_back(split);
                    }
                    split.blocks = 0;
                }
            }
        }
        if (split.blocks > 0 && seen) {
            splits.push_back(split);
        }
        item_splits.push_back(std::ssize(splits));
    }
}

void AttentionPlan::assign_levels(AttentionArgs const& args) {
    row_level.assign(args.num_rows, 0);
    item_level.clear();
    for (AttentionItem const& item : args.items) {
        std::int64_t level = 0;
        for (std::int32_t const row : item.rows) {
            level = std::max(level, row_level[row]);
        }
        for (std::int32_t const row : item.rows) {
            LH_EXPECT(row_level[row] <= level);  // a row stands once in an item
            row_level[row] = level + 1;
        }
        item_level.push_back(level);
    }
}

void AttentionPlan::add_level(AttentionArgs const& args, std::int64_t level, int threads) {
    std::int64_t const group = args.num_heads / args.layout.num_kv_heads;
    std::int64_t const first_tile = std::ssize(tiles);
    std::int64_t cost = 0;
    for (std::int64_t index = 0; index < std::ssize(args.items); ++index) {
        std::int64_t const num_splits = item_splits[index + 1] - item_splits[index];
        if (item_level[index] != level || num_splits == 0) {
            continue;
        }
        std::int64_t const packed_rows = std::ssize(args.items[index].rows) * group;
        for (std::int64_t first = 0; first < packed_rows; first += kTileRows) {
            for (std::int64_t head = 0; head < args.layout.num_kv_heads; ++head) {
                std::int64_t const rows = std::min(kTileRows, packed_rows - first);
                tiles.push_back({index, head, first, rows, 0});
                cost += std::max(rows, kRowsFloor) * num_splits;
            }
        }
    }
    std::int64_t const first_task = std::ssize(tasks);
    for (std::int64_t tile = first_tile; tile < std::ssize(tiles); ++tile) {
        TileWork const& work = tiles[tile];
        std::int64_t const num_splits = item_splits[work.item + 1] - item_splits[work.item];
        std::int64_t taken = num_splits;
        if (threads > 1) {
            taken = std::clamp<std::int64_t>(
                cost / (threads * kTasksPerThread * std::max(work.rows, kRowsFloor)), 1,
                num_splits);
        }
        for (std::int64_t split = 0; split < num_splits; split += taken) {
            tasks.push_back({tile, split, std::min(taken, num_splits - split)});
        }
    }
    // Split by split over the tiles: a task seldom waits for the one before it in its tile, and neighbouring heads read
    // the same blocks at the same time.
    std::stable_sort(tasks.begin() + first_task, tasks.end(),
                     [](AttentionTask const& a, AttentionTask const& b) {
                         return a.first_split < b.first_split;
                     });
}

void AttentionPlan::build(AttentionArgs const& args, int threads) {
    cut_splits(args);
    assign_levels(args);
    tiles.clear();
    tasks.clear();
    level_tasks.assign(1, 0);
    std::int64_t levels = 0;
    for (std::int64_t const level : item_level) {
        levels = std::max(levels, level + 1);
    }
    for (std::int64_t level = 0; level < levels; ++level) {
        add_level(args, level, threads);
        level_tasks.push_back(std::ssize(tasks));
    }
    next_task.assign(level_tasks.begin(), level_tasks.end() - 1);
}

}  // namespace longhaul::kernels::cpu
