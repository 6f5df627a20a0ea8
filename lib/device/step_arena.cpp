#include "device/step_arena.hpp"

#include <algorithm>

namespace longhaul::device {

void StepArena::begin(std::int64_t bytes) {
    turn_ = 1 - turn_;
    used_ = 0;
    Staging& turn = staging_[turn_];
    if (gpu_ != nullptr && !turn.copied) {
        turn.copied.emplace();
    }
    if (turn.copied) {
        turn.copied->wait();
    }
    if (bytes > memory_.bytes()) {
        if (gpu_ != nullptr) {
            gpu_->synchronize();
        }
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
    copy(gpu_, memory_.data(), staging().data(), used_);
    if (staging_[turn_].copied) {
        staging_[turn_].copied->record(gpu_->stream());
    }
}

}  // namespace longhaul::device
