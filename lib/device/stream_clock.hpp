#pragma once

#include "device/buffer.hpp"
#include "device/gpu.hpp"

#include <cstddef>
#include <memory>
#include <vector>

namespace longhaul::device {

/// Tells where the time of gpu.stream() goes: marks cut what is queued there into parts. A mark costs the GPU one to three
/// microseconds, so a clock is for measurements; what a mark between two kernels costs is measured at the beginning and taken
/// off.
///
/// Graphs      Marks that are made while a graph is recorded are reached by its launches: take_recorded() after the recording,
///             launched() with them after every launch. Between two calls of read() a graph is launched at most once, and a
///             mark outside of it follows.
/// Errors      DeviceError
class StreamClock {
  public:
    /// What has been queued since the mark before belongs to `part`.
    struct Mark {
        void* event = nullptr;
        std::size_t part = 0;
        bool in_graph = false;
    };

    StreamClock(Gpu const& gpu, std::size_t num_parts);
    ~StreamClock();
    StreamClock(StreamClock const&) = delete;
    StreamClock& operator=(StreamClock const&) = delete;

    void mark(std::size_t part);
    [[nodiscard]] std::vector<Mark> take_recorded();
    void launched(std::vector<Mark> const& recorded);

    /// Waits for the last mark, and begins anew behind it. Seconds per part; what came before the first mark of all belongs to none.
    [[nodiscard]] std::vector<double> read();

  private:
    [[nodiscard]] void* take_event();
    void forget();
    void measure_cost();
    /// Seconds of a chain of small kernels, a mark behind each of them or none.
    [[nodiscard]] double chain_s(bool in_graph, bool with_marks, Buffer& memory);

    Gpu const& gpu_;
    std::size_t num_parts_;
    double eager_cost_s_ = 0.0;  // of a mark
    double graph_cost_s_ = 0.0;
    std::vector<Mark> marks_;
    std::vector<Mark> recorded_;
    std::vector<void*> events_;  // all of them
    std::vector<void*> spare_;
};

}  // namespace longhaul::device
