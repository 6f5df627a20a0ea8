#include "device/step_arena.hpp"

#include "base/error.hpp"

#include <algorithm>

namespace longhaul::device {

void StepArena::begin(std::int64_t bytes) {
    if (gpu_ == nullptr) {
        return;
    }
    turn_ = 1 - turn_;
    used_ = 0;
    Staging& turn = staging_[turn_];
    if (!turn.copied) {
        turn.copied.emplace();
    }
    turn.copied->wait();
    if (bytes > memory_.bytes()) {
        gpu_->synchronize();
        memory_ = Buffer(gpu_, std::max(bytes, 2 * memory_.bytes()));
    }
    if (turn.buffer.bytes() < memory_.bytes()) {
        turn.buffer = PinnedBuffer(gpu_, memory_.bytes());
    }
}

std::int64_t StepArena::reserve(std::int64_t bytes) {
    std::int64_t const place = used_;
    used_ += room_for(bytes);
    LH_EXPECT(used_ <= memory_.bytes());
    return place;
}

void StepArena::end() {
    if (gpu_ != nullptr) {
        copy(gpu_, memory_.data(), staging().data(), used_);
        staging_[turn_].copied->record(gpu_->stream());
    }
}

}  // namespace longhaul::device
