#include "device/stream_clock.hpp"

#include "base/error.hpp"
#include "device/delay.hpp"
#include "device/graph.hpp"
#include "device/native.hpp"
#include "device/sum_rows.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace longhaul::device {

namespace {

constexpr int kChain = 128;  // kernels; fewer than a stream holds before it makes the host wait

}  // namespace

StreamClock::StreamClock(Gpu const& gpu, std::size_t num_parts) : gpu_(gpu), num_parts_(num_parts) {
    LH_EXPECT(num_parts > 0);
    measure_cost();
}

void StreamClock::measure_cost() {
    Buffer memory(&gpu_, 2 * sizeof(float));
    fill_zero(&gpu_, memory.data(), memory.bytes());
    auto const cost = [&](bool in_graph) {
        std::vector<double> costs;
        for (int i = 0; i < 5; ++i) {
            double const without = chain_s(in_graph, false, memory);
            costs.push_back((chain_s(in_graph, true, memory) - without) / kChain);
        }
        std::nth_element(costs.begin(), costs.begin() + 2, costs.end());
        return std::max(0.0, costs[2]);
    };
    double const eager = cost(false);
    graph_cost_s_ = cost(true);
    eager_cost_s_ = eager;  // not before all chains have run: read() takes it off
    forget();
}

void StreamClock::forget() {
    for (Mark const& mark : std::exchange(marks_, {})) {
        if (!mark.in_graph) {
            spare_.push_back(mark.event);
        }
    }
}

double StreamClock::chain_s(bool in_graph, bool with_marks, Buffer& memory) {
    auto const chain = [&] {
        for (int i = 0; i < kChain; ++i) {
            auto* const values = memory.as<float>();
            sum_rows(values, 1, 1, values + 1, 1, gpu_.stream());
            if (with_marks) {
                mark(0);
            }
        }
    };
    std::optional<Graph> graph;
    if (in_graph) {
        graph.emplace(gpu_, chain);
    }
    std::vector<Mark> const recorded = take_recorded();
    forget();
    delay(1e-3, gpu_.stream());  // meanwhile the host queues all of it
    mark(0);
    if (graph) {
        graph->launch();
        launched(recorded);
    } else {
        chain();
    }
    mark(0);
    double const seconds = read()[0];
    for (Mark const& mark : recorded) {
        spare_.push_back(mark.event);
    }
    return seconds;
}

StreamClock::~StreamClock() {
    for (void* const event : events_) {
        native::destroy_event(event);
    }
}

void* StreamClock::take_event() {
    if (spare_.empty()) {
        spare_.push_back(native::create_timed_event());
        events_.push_back(spare_.back());
    }
    void* const event = spare_.back();
    spare_.pop_back();
    return event;
}

void StreamClock::mark(std::size_t part) {
    LH_EXPECT(part < num_parts_);
    bool const in_graph = native::is_capturing(gpu_.stream());
    Mark const mark{take_event(), part, in_graph};
    native::record_timed_event(mark.event, gpu_.stream());
    (in_graph ? recorded_ : marks_).push_back(mark);
}

std::vector<StreamClock::Mark> StreamClock::take_recorded() { return std::exchange(recorded_, {}); }

void StreamClock::launched(std::vector<Mark> const& recorded) {
    marks_.insert(marks_.end(), recorded.begin(), recorded.end());
}

std::vector<double> StreamClock::read() {
    std::vector<double> seconds(num_parts_);
    if (marks_.empty()) {
        return seconds;
    }
    Mark const last = marks_.back();
    LH_EXPECT(!last.in_graph);  // the next launch would move it
    native::wait_for_event(last.event);
    for (std::size_t i = 1; i < marks_.size(); ++i) {
        double const passed = native::seconds_between(marks_[i - 1].event, marks_[i].event);
        double const cost = marks_[i].in_graph ? graph_cost_s_ : eager_cost_s_;
        seconds[marks_[i].part] += std::max(0.0, passed - cost);
    }
    marks_.pop_back();
    forget();
    marks_.push_back(last);
    return seconds;
}

}  // namespace longhaul::device
