#include "base/error.hpp"
#include "comm/backoff.hpp"
#include "comm/error.hpp"
#include "comm/nccl_communicator.hpp"
#include "comm/nccl_state.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <utility>

namespace longhaul::comm {
namespace {

// An engine that has not called for so long does something else than run steps.
constexpr auto kActiveFor = std::chrono::seconds(5);
constexpr auto kMarkEvery = std::chrono::milliseconds(10);
// NCCL enqueues in a thread of its own, mostly within 50 us.
constexpr BackoffPolicy kEnqueueBackoff{.spins = 2000, .yields = 200};

}  // namespace

void check_nccl(ncclResult_t result, ncclComm_t communicator) {
    if (result == ncclSuccess || result == ncclInProgress) {
        return;
    }
    detail::NcclLibrary const& nccl = detail::nccl_library();
    char const* const detail = nccl.last_error(communicator);
    throw NcclError(fmt::format(
        "NCCL failed: {}{}{} (NCCL_DEBUG=WARN says more)", nccl.error_string(result),
        detail != nullptr && *detail != '\0' ? ": " : "", detail != nullptr ? detail : ""));
}

void NcclSession::State::settle(ncclComm_t communicator, ncclResult_t result,
                                Clock::time_point const* deadline) const {
    check_nccl(result, communicator);
    Backoff backoff(kEnqueueBackoff);
    ncclResult_t state = ncclInProgress;
    for (;;) {
        check_nccl(nccl.async_error(communicator, &state), communicator);
        check_nccl(state, communicator);
        if (state == ncclSuccess) {
            return;
        }
        if (deadline != nullptr && Clock::now() > *deadline) {
            throw NcclError("NCCL did not come to an end in time (NCCL_DEBUG=INFO may say why)");
        }
        backoff.pause();
    }
}

void NcclSession::State::mark(StreamView stream) {
    last_active_ = Clock::now().time_since_epoch().count();
    if (device::is_capturing(stream)) {
        return;  // nothing runs; who launches the graph waits for it or marks it
    }
    std::scoped_lock const lock(marks_);
    std::size_t const free = recorded_[watched_] ? 1 - watched_ : watched_;
    events_[free].record(stream);
    recorded_[free] = true;
}

void NcclSession::State::mark_now_and_then() {
    Clock::time_point const now = Clock::now();
    if (now - last_mark_ >= kMarkEvery) {
        last_mark_ = now;
        mark(gpu.stream());
    }
}

RankProgress NcclSession::State::look() {
    if (std::unique_lock const lock(calls, std::try_to_lock); lock) {
        for (ncclComm_t const communicator : communicators) {
            ncclResult_t state = ncclSuccess;
            check_nccl(nccl.async_error(communicator, &state), communicator);
            check_nccl(state, communicator);
        }
    }
    RankProgress progress;
    Clock::duration const idle =
        Clock::now().time_since_epoch() - Clock::duration(last_active_.load());
    progress.active = idle < kActiveFor ? 1 : 0;
    std::scoped_lock const lock(marks_);
    if (recorded_[watched_] && events_[watched_].done()) {
        ++ended_;
        recorded_[watched_] = false;
        watched_ = 1 - watched_;
    }
    progress.ended = ended_;
    progress.pending = recorded_[0] || recorded_[1] || inside_ ? 1 : 0;
    return progress;
}

NcclSession::NcclSession(device::Gpu const& gpu) {
    // NVLink multicast needs rights that containers often lack, and NCCL then fails instead of doing without.
    ::setenv("NCCL_NVLS_ENABLE", "0", 0);
    LH_VALIDATE(nccl_status().missing.empty(), "NCCL cannot be used: {}", nccl_status().missing);
    state_ = std::make_unique<State>(gpu);
}

NcclSession::~NcclSession() = default;

std::unique_ptr<Communicator> NcclSession::connect(std::unique_ptr<Communicator> group) {
    return std::make_unique<NcclCommunicator>(std::move(group), *state_);
}

void NcclSession::start_watchdog(std::unique_ptr<Communicator> heartbeat) {
    Watchdog::Actions actions;
    actions.look = [this, prepared = false]() mutable {
        if (!prepared) {
            state_->gpu.select();
            device::ignore_captures_of_other_threads();
            prepared = true;
        }
        return state_->look();
    };
    // Not ncclCommAbort first: it would let the kernel that waits end with what it has, and its garbage go into a result. The
    // end of the process frees the GPU as well.
    actions.give_up = [](std::string const& reason) { throw PeerFailed(reason); };
    state_->watchdog =
        std::make_unique<Watchdog>(std::move(heartbeat), std::move(actions), Watchdog::Options{});
}

void NcclSession::finish() {
    if (state_->watchdog) {
        state_->watchdog->finish();
        state_->watchdog.reset();
    }
}

}  // namespace longhaul::comm
