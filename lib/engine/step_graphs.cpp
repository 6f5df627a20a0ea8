#include "engine/step_graphs.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <utility>

namespace longhaul::engine {

void StepGraphs::run(Key const& key, device::StreamClock* clock,
                     std::function<void()> const& work) {
    auto const found = std::find_if(entries_.begin(), entries_.end(),
                                    [&](Entry const& entry) { return entry.key == key; });
    if (found == entries_.end()) {
        work();
        entries_.push_front({key, std::nullopt, {}});
        if (entries_.size() > kMostEntries) {
            entries_.pop_back();
        }
        return;
    }
    entries_.splice(entries_.begin(), entries_, found);
    Entry& entry = entries_.front();
    if (!entry.graph) {
        entry.graph.emplace(gpu_, work);
        if (clock != nullptr) {
            entry.marks = clock->take_recorded();
        }
    }
    entry.graph->launch();
    if (clock != nullptr) {
        clock->launched(entry.marks);
    }
}

void append_keys_of_all(comm::Communicator& group, StepGraphs::Key& key) {
    // Seeded with the rank: two ranks that swap their keys make another sum. Halves, so that no sum overflows.
    std::uint64_t const hash =
        XXH3_64bits_withSeed(key.data(), key.size() * sizeof(StepGraphs::Key::value_type),
                             static_cast<std::uint64_t>(group.rank()));
    std::array<std::int64_t, 2> sums{static_cast<std::int64_t>(hash >> 32U),
                                     static_cast<std::int64_t>(hash & 0xffff'ffffU)};
    group.all_reduce(sums, comm::ReduceOp::sum);
    for (std::int64_t const sum : sums) {
        key.push_back(static_cast<std::uint64_t>(sum));
    }
}

}  // namespace longhaul::engine
