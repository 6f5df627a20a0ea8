#include "comm/loopback_mailbox.hpp"

#include "comm/error.hpp"

#include <algorithm>
#include <cstring>

namespace longhaul::comm::detail {
namespace {

// A size that differs is the receiver's error: it finds out from received_bytes.
void hand_over(std::span<std::byte const> data, PostedReceive& receive) {
    if (data.size() == receive.into.size() && !data.empty()) {
        std::memcpy(receive.into.data(), data.data(), data.size());
    }
    receive.received_bytes = std::ssize(data);
    receive.done = true;
}

}  // namespace

bool FailureFlag::raise(std::string message) {
    std::lock_guard const lock(mutex_);
    if (raised()) {
        return false;
    }
    message_ = std::move(message);
    raised_.store(true, std::memory_order_release);
    return true;
}

void FailureFlag::throw_failure() const {
    std::lock_guard const lock(mutex_);
    throw PeerFailed(message_);
}

void Mailbox::deliver(int source, int tag, std::span<std::byte const> data) {
    {
        std::lock_guard const lock(mutex_);
        auto const match = std::ranges::find_if(waiting_, [&](PostedReceive const* receive) {
            return receive->source == source && receive->tag == tag;
        });
        if (match != waiting_.end()) {
            hand_over(data, **match);
            waiting_.erase(match);
        } else {
            kept_.push_back({tag, {source, {data.begin(), data.end()}}});
        }
    }
    changed_.notify_all();
}

void Mailbox::post(PostedReceive& receive) {
    std::lock_guard const lock(mutex_);
    if (auto const message = take_locked(receive.source, receive.tag)) {
        hand_over(message->data, receive);
    } else {
        waiting_.push_back(&receive);
    }
}

void Mailbox::withdraw(PostedReceive& receive) {
    std::lock_guard const lock(mutex_);
    std::erase(waiting_, &receive);
}

bool Mailbox::is_done(PostedReceive const& receive) {
    std::lock_guard const lock(mutex_);
    if (!receive.done && failure_.raised()) {
        failure_.throw_failure();
    }
    return receive.done;
}

void Mailbox::wait_for(PostedReceive const& receive) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return receive.done || failure_.raised(); });
}

std::optional<Message> Mailbox::take(int source, int tag) {
    std::lock_guard const lock(mutex_);
    auto message = take_locked(source, tag);
    if (!message && failure_.raised()) {
        failure_.throw_failure();
    }
    return message;
}

Message Mailbox::wait_and_take(int source, int tag) {
    std::unique_lock lock(mutex_);
    std::optional<Message> message;
    changed_.wait(lock, [&] {
        message = take_locked(source, tag);
        return message.has_value() || failure_.raised();
    });
    if (!message) {
        failure_.throw_failure();
    }
    return std::move(*message);
}

void Mailbox::wake() {
    // With the lock held, a waiter is either asleep or has yet to look at the flag.
    std::lock_guard const lock(mutex_);
    changed_.notify_all();
}

std::optional<Message> Mailbox::take_locked(int source, int tag) {
    auto const match = std::ranges::find_if(kept_, [&](Kept const& kept) {
        return kept.tag == tag && (source == kAnySource || kept.message.source == source);
    });
    if (match == kept_.end()) {
        return std::nullopt;
    }
    std::optional<Message> message(std::move(match->message));
    kept_.erase(match);
    return message;
}

}  // namespace longhaul::comm::detail
