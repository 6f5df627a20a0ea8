#include "comm/request.hpp"

#include "base/error.hpp"

#include <exception>

namespace longhaul::comm {

Request::~Request() { LH_EXPECT(!active() || std::uncaught_exceptions() > 0); }

Request& Request::operator=(Request&& other) noexcept {
    LH_EXPECT(!active());
    state_ = std::move(other.state_);
    return *this;
}

bool Request::test() {
    if (!active()) {
        return true;
    }
    // Held here while it runs: an operation that throws is gone, and this request is no longer active.
    auto state = std::move(state_);
    if (state->test()) {
        return true;
    }
    state_ = std::move(state);
    return false;
}

void Request::wait() {
    for (int round = 0; !test(); ++round) {
        pause(round);
    }
}

void Request::pause(int round) {
    if (!active()) {
        return;
    }
    auto state = std::move(state_);
    state->pause(round);
    state_ = std::move(state);
}

}  // namespace longhaul::comm
