#pragma once

#include "device/gpu.hpp"
#include "device/graph.hpp"
#include "device/stream_clock.hpp"
#include "comm/communicator.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <vector>

namespace longhaul::engine {

/// Recorded layers of decode steps, by everything that a launch depends on: numbers of rows and CTAs, pointers. Lengths and
/// positions are read from device memory, so a sequence's next token usually finds the graph of the one before.
class StepGraphs {
  public:
    using Key = std::vector<std::uint64_t>;

    explicit StepGraphs(device::Gpu const& gpu) : gpu_(gpu) {}

    /// Runs `work`: at once where the key is new (buffers may grow and libraries may warm up then), recorded when it comes
    /// again, as a graph from then on.
    ///
    /// `clock` may be null; its marks inside `work` are part of the graph, so it belongs to the key.
    void run(Key const& key, device::StreamClock* clock, std::function<void()> const& work);

  private:
    struct Entry {
        Key key;
        std::optional<device::Graph> graph;
        std::vector<device::StreamClock::Mark> marks;
    };
    static constexpr std::size_t kMostEntries = 32;

    device::Gpu const& gpu_;
    std::list<Entry> entries_;  // the one used last comes first
};

/// Appends to `key` what stands for the keys of all ranks of `group`, so that all of them find one, record and launch in the same
/// steps, though their pointers and lengths differ: NCCL wants that of messages that are recorded. Collective.
void append_keys_of_all(comm::Communicator& group, StepGraphs::Key& key);

}  // namespace longhaul::engine
