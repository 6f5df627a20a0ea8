#include "schedule/block_allocator.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <iterator>

namespace longhaul::schedule {

BlockAllocator::BlockAllocator(std::int64_t capacity) : capacity_(capacity), num_free_(capacity) {
    LH_EXPECT(capacity >= 0);
    if (capacity > 0) {
        runs_.emplace(0, capacity);
    }
}

std::vector<std::int64_t> BlockAllocator::allocate(std::int64_t count) {
    LH_EXPECT(count >= 0 && count <= num_free_);
    std::vector<std::int64_t> blocks;
    blocks.reserve(static_cast<std::size_t>(count));
    while (count > 0) {
        auto best = runs_.end();
        for (auto run = runs_.begin(); run != runs_.end(); ++run) {
            bool const fits = run->second >= count;
            bool const best_fits = best != runs_.end() && best->second >= count;
            if (best == runs_.end() || (fits && (!best_fits || run->second < best->second)) ||
                (!fits && !best_fits && run->second > best->second)) {
                best = run;
            }
        }
        std::int64_t const taken = std::min(count, best->second);
        take(best->first, taken, blocks);
        count -= taken;
    }
    return blocks;
}

void BlockAllocator::take(std::int64_t start, std::int64_t count, std::vector<std::int64_t>& out) {
    auto const run = runs_.find(start);
    std::int64_t const rest = run->second - count;
    runs_.erase(run);
    if (rest > 0) {
        runs_.emplace(start + count, rest);
    }
    for (std::int64_t i = 0; i < count; ++i) {
        out.push_back(start + i);
    }
    num_free_ -= count;
}

void BlockAllocator::free(std::int64_t block) {
    LH_EXPECT(block >= 0 && block < capacity_);
    auto [run, inserted] = runs_.emplace(block, 1);
    LH_EXPECT(inserted);
    ++num_free_;
    auto const next = std::next(run);
    if (next != runs_.end() && next->first == block + 1) {
        run->second += next->second;
        runs_.erase(next);
    }
    if (run != runs_.begin()) {
        auto const previous = std::prev(run);
        LH_EXPECT(previous->first + previous->second <= block);
        if (previous->first + previous->second == block) {
            previous->second += run->second;
            runs_.erase(run);
        }
    }
}

}  // namespace longhaul::schedule
