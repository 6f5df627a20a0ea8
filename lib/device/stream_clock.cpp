#include "device/stream_clock.hpp"

#include "base/error.hpp"
#include "device/native.hpp"

#include <utility>

namespace longhaul::device {

StreamClock::StreamClock(Gpu const& gpu, std::size_t num_parts)
    : gpu_(gpu), num_parts_(num_parts) {}

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
        seconds[marks_[i].part] += native::seconds_between(marks_[i - 1].event, marks_[i].event);
    }
    marks_.pop_back();
    for (Mark const& mark : marks_) {
        if (!mark.in_graph) {
            spare_.push_back(mark.event);
        }
    }
    marks_ = {last};
    return seconds;
}

}  // namespace longhaul::device
