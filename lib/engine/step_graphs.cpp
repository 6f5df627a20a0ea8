#include "engine/step_graphs.hpp"

#include <algorithm>
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

}  // namespace longhaul::engine
