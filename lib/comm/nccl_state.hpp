#pragma once

// Stays inside lib/comm; empty in a build without NCCL.
#ifdef LONGHAUL_HAVE_NCCL

#    include "device/gpu.hpp"
#    include "comm/nccl.hpp"
#    include "comm/nccl_library.hpp"
#    include "comm/watchdog.hpp"

#    include <array>
#    include <atomic>
#    include <chrono>
#    include <cstdint>
#    include <memory>
#    include <mutex>
#    include <optional>
#    include <utility>
#    include <vector>

namespace longhaul::comm {

/// Shared by the engine's thread, which exchanges, and the watchdog's, which looks on.
struct NcclSession::State {
    explicit State(device::Gpu const& the_gpu) : gpu(the_gpu), nccl(detail::nccl_library()) {}

    // --- The engine's thread ---

    /// Runs `work` (NCCL calls on `communicator` that return ncclResult_t) and returns when it is enqueued in `stream`. Throws
    /// NcclError.
    template <class Work>
    void enqueue(ncclComm_t communicator, StreamView stream, Work&& work) {
        inside_ = true;
        {
            std::scoped_lock const lock(calls);
            settle(communicator, std::forward<Work>(work)(),
                   set_up_until ? &*set_up_until : nullptr);
        }
        inside_ = false;
        mark(stream);
    }
    /// Waits until `communicator` has done what a call began; null `deadline`: for as long as the watchdog allows.
    void settle(ncclComm_t communicator, ncclResult_t result,
                std::chrono::steady_clock::time_point const* deadline) const;
    /// What is in the stream now counts as this rank's work.
    void mark(StreamView stream);
    /// mark() of the engine's stream, at most a hundred times a second: long computations between two exchanges move too.
    void mark_now_and_then();

    // --- The watchdog's thread ---

    /// Throws NcclError where a communicator has broken down.
    [[nodiscard]] RankProgress look();

    device::Gpu const& gpu;
    detail::NcclLibrary const& nccl;
    std::mutex calls;                       // one thread at a time in NCCL
    std::vector<ncclComm_t> communicators;  // guarded by calls
    std::unique_ptr<Watchdog> watchdog;
    /// While a group exchanges its first messages; the watchdog begins later.
    std::optional<std::chrono::steady_clock::time_point> set_up_until;

  private:
    using Clock = std::chrono::steady_clock;

    // Two events take turns: the watched one until it is done, the other one moves on with every mark.
    std::mutex marks_;
    std::array<device::Event, 2> events_;
    std::array<bool, 2> recorded_{};
    std::size_t watched_ = 0;
    std::int64_t ended_ = 0;
    std::atomic<bool> inside_{false};
    std::atomic<Clock::rep> last_active_{Clock::now().time_since_epoch().count()};
    Clock::time_point last_mark_{};
};

/// Throws NcclError with NCCL's text unless `result` is success or "in progress".
void check_nccl(ncclResult_t result, ncclComm_t communicator);

}  // namespace longhaul::comm

#endif
