#include "kv/kv_shard.hpp"

#include "base/checked.hpp"

namespace longhaul::kv {

void KvShard::append_extents(Range slots, std::vector<kernels::KvExtent>& out) const {
    if (slots.empty()) {
        return;
    }
    std::size_t const first_own = out.size();
    std::int64_t const first_block = slots.begin / block_slots_;
    std::int64_t const last_block = ceil_div(slots.end, block_slots_);
    for (std::int64_t block = first_block; block < last_block; ++block) {
        schedule::BlockRef const& place = table_.blocks[static_cast<std::size_t>(block)];
        if (place.coordinate != coordinate_) {
            continue;
        }
        std::int64_t const slot = block * block_slots_;
        if (out.size() > first_own) {
            kernels::KvExtent& extent = out.back();
            bool const adjacent = place.pool_block == extent.block + extent.count;
            if (adjacent && extent.count == 1) {
                extent.slot_stride = slot - extent.first_slot;
                ++extent.count;
                continue;
            }
            if (adjacent && slot == extent.first_slot + extent.count * extent.slot_stride) {
                ++extent.count;
                continue;
            }
        }
        out.push_back({place.pool_block, 1, slot, block_slots_});
    }
}

kernels::KvSlot KvShard::place(std::int64_t slot) const {
    schedule::BlockRef const& place = table_.blocks[static_cast<std::size_t>(slot / block_slots_)];
    if (place.coordinate != coordinate_) {
        return {};
    }
    return {place.pool_block, slot % block_slots_};
}

}  // namespace longhaul::kv
