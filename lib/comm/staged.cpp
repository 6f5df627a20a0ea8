#include "comm/staged.hpp"

#include <algorithm>

namespace longhaul::comm::detail {

StagedOperation::StagedOperation(std::vector<Stage> stages, Registry& registry)
    : stages_(std::move(stages)), registry_(registry) {
    if (!stages_.empty()) {
        stages_[next_stage_++](pending_);
    }
    if (next_stage_ < stages_.size()) {
        registry_.push_back(this);
        registered_ = true;
    }
}

StagedOperation::~StagedOperation() { leave_registry(); }

bool StagedOperation::test() {
    while (true) {
        // Only the last one is polled: all have to end, so the order does not matter.
        while (!pending_.empty()) {
            if (!pending_.back().test()) {
                return false;
            }
            pending_.pop_back();
            round_ = 0;
        }
        if (next_stage_ == stages_.size()) {
            leave_registry();
            return true;
        }
        stages_[next_stage_++](pending_);
    }
}

void StagedOperation::pause(int /*round*/) {
    if (!pending_.empty()) {
        pending_.back().pause(round_++);
    }
}

void StagedOperation::leave_registry() {
    if (registered_) {
        std::erase(registry_, this);
        registered_ = false;
    }
}

}  // namespace longhaul::comm::detail
