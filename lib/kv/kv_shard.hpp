#pragma once

#include "base/range.hpp"
#include "schedule/block_table.hpp"
#include "kernels/attention.hpp"
#include "kernels/rope_kv.hpp"

#include <cstdint>
#include <vector>

namespace longhaul::kv {

/// This rank's part of a sequence's KV: the blocks of one KVP coordinate, read from the sequence's BlockTable.
class KvShard {
  public:
    KvShard(schedule::BlockTable const& table, std::int64_t coordinate, std::int64_t block_slots)
        : table_(table), coordinate_(coordinate), block_slots_(block_slots) {}

    /// Appends the extents that cover the slots [slots.begin, slots.end) as far as they lie here. Blocks that are
    /// neighbours in the pool and equally spaced in the sequence join into one extent.
    void append_extents(Range slots, std::vector<kernels::KvExtent>& out) const;

    /// Where the entry of a slot is written; block -1 when another coordinate owns it.
    [[nodiscard]] kernels::KvSlot place(std::int64_t slot) const;

  private:
    schedule::BlockTable const& table_;
    std::int64_t coordinate_;
    std::int64_t block_slots_;
};

}  // namespace longhaul::kv
