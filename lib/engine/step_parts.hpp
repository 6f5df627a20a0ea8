#pragma once

#include "engine/rank_context.hpp"
#include "engine/step_counters.hpp"

#include <cstddef>

namespace longhaul::engine {

/// What has been queued on the GPU since the last mark belongs to `part`. Nothing without a clock.
inline void mark(RankContext& context, StepPart part) {
    if (context.clock != nullptr) {
        context.clock->mark(static_cast<std::size_t>(part));
    }
}

/// Runs `work` and counts its time as `part`, where that can be told (StepCounters::part_s).
template <class Work>
void timed(RankContext& context, StepPart part, Work const& work) {
    if (context.gpu() != nullptr) {
        mark(context, StepPart::other);
        work();
        mark(context, part);
        return;
    }
    ScopedTimer const timer(context.counters.part_s.at(static_cast<std::size_t>(part)));
    work();
}

}  // namespace longhaul::engine
