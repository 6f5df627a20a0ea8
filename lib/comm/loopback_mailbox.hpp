#pragma once

#include "comm/communicator.hpp"

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

// Private to the loopback transport.
namespace longhaul::comm::detail {

/// Set once, when a rank fails. Everything that waits looks at it.
class FailureFlag {
  public:
    [[nodiscard]] bool raised() const { return raised_.load(std::memory_order_acquire); }
    /// True for the first caller only.
    bool raise(std::string message);
    /// Throws PeerFailed.
    [[noreturn]] void throw_failure() const;

  private:
    mutable std::mutex mutex_;
    std::atomic<bool> raised_{false};
    std::string message_;
};

/// A receive that waits for its message. Guarded by the mailbox it is posted to.
struct PostedReceive {
    int source = 0;
    int tag = 0;
    std::span<std::byte> into;
    bool done = false;
    std::int64_t received_bytes = 0;
};

/// What arrives at one rank of one communicator.
class Mailbox {
  public:
    explicit Mailbox(FailureFlag const& failure) : failure_(failure) {}

    /// Copies the message into the first receive that waits for it, or keeps a copy.
    void deliver(int source, int tag, std::span<std::byte const> data);
    /// Takes a kept message or waits for one to be delivered.
    void post(PostedReceive& receive);
    void withdraw(PostedReceive& receive);

    /// Whether the receive has got its message; throws PeerFailed when it has not and never may.
    [[nodiscard]] bool is_done(PostedReceive const& receive);
    void wait_for(PostedReceive const& receive);

    [[nodiscard]] std::optional<Message> take(int source, int tag);
    [[nodiscard]] Message wait_and_take(int source, int tag);

    /// Wakes all waiters, who then see the failure flag.
    void wake();

  private:
    struct Kept {
        int tag = 0;
        Message message;
    };

    [[nodiscard]] std::optional<Message> take_locked(int source, int tag);

    FailureFlag const& failure_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Kept> kept_;              // in order of arrival
    std::list<PostedReceive*> waiting_;  // in order of posting
};

}  // namespace longhaul::comm::detail
