#include "comm/loopback_communicator.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"
#include "comm/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace longhaul::comm::detail {
namespace {

// The message is buffered already; the request only keeps to the rule that every request is waited for.
class FinishedSend final : public RequestState {
  public:
    bool test() override { return true; }
    void pause(int /*round*/) override {}
};

class LoopbackReceive final : public RequestState {
  public:
    LoopbackReceive(std::shared_ptr<LoopbackGroup> group, int receiver, PostedReceive receive)
        : group_(std::move(group)), receiver_(receiver), receive_(receive) {
        box().post(receive_);
    }
    LoopbackReceive(LoopbackReceive const&) = delete;
    LoopbackReceive& operator=(LoopbackReceive const&) = delete;
    ~LoopbackReceive() override { box().withdraw(receive_); }

    bool test() override {
        if (!box().is_done(receive_)) {
            return false;
        }
        if (receive_.received_bytes != std::ssize(receive_.into)) {
            throw ProtocolError(fmt::format(
                "rank {} expects {} bytes from rank {} with tag {}, but the message has {} bytes",
                receiver_, receive_.into.size(), receive_.source, receive_.tag,
                receive_.received_bytes));
        }
        return true;
    }

    void pause(int /*round*/) override { box().wait_for(receive_); }

  private:
    [[nodiscard]] Mailbox& box() { return *group_->boxes[static_cast<std::size_t>(receiver_)]; }

    std::shared_ptr<LoopbackGroup> group_;
    int receiver_;
    PostedReceive receive_;
};

}  // namespace

LoopbackGroup::LoopbackGroup(std::int64_t group_number, int size, FailureFlag const& failure)
    : number(group_number) {
    for (int rank = 0; rank < size; ++rank) {
        boxes.push_back(std::make_unique<Mailbox>(failure));
    }
}

std::shared_ptr<LoopbackGroup> LoopbackWorld::make_group(int size) {
    std::lock_guard const lock(mutex_);
    return make_group_locked(size);
}

std::shared_ptr<LoopbackGroup> LoopbackWorld::make_group_locked(int size) {
    auto group = std::make_shared<LoopbackGroup>(groups_made_++, size, failure_);
    std::erase_if(groups_, [](auto const& known) { return known.expired(); });
    groups_.push_back(group);
    return group;
}

std::shared_ptr<LoopbackGroup> LoopbackWorld::meet(
    std::tuple<std::int64_t, std::int64_t, int> const& key, int size) {
    std::lock_guard const lock(mutex_);
    auto const [place, first] = meetings_.try_emplace(key);
    auto& meeting = place->second;
    if (first) {
        meeting = {make_group_locked(size), size};
    }
    auto group = meeting.group;
    if (--meeting.still_to_come == 0) {
        meetings_.erase(place);
    }
    return group;
}

bool LoopbackWorld::fail(std::string message) {
    bool const first = failure_.raise(std::move(message));
    std::lock_guard const lock(mutex_);
    for (auto const& known : groups_) {
        if (auto const group = known.lock()) {
            for (auto const& box : group->boxes) {
                box->wake();
            }
        }
    }
    return first;
}

LoopbackCommunicator::LoopbackCommunicator(std::shared_ptr<LoopbackWorld> world,
                                           std::shared_ptr<LoopbackGroup> group, int rank)
    : world_(std::move(world)), group_(std::move(group)), rank_(rank) {}

Request LoopbackCommunicator::post_send(std::span<std::byte const> data, int destination, int tag) {
    if (world_->failure().raised()) {
        world_->failure().throw_failure();
    }
    box(destination).deliver(rank_, tag, data);
    return Request(std::make_unique<FinishedSend>());
}

Request LoopbackCommunicator::post_receive(std::span<std::byte> data, int source, int tag) {
    PostedReceive receive;
    receive.source = source;
    receive.tag = tag;
    receive.into = data;
    return Request(std::make_unique<LoopbackReceive>(group_, rank_, receive));
}

std::optional<Message> LoopbackCommunicator::try_receive(int source, int tag) {
    if (source != kAnySource) {
        check_peer(source);
    }
    check_tag(tag);
    return box(rank_).take(source, tag);
}

Message LoopbackCommunicator::receive(int source, int tag) {
    if (source != kAnySource) {
        check_peer(source);
    }
    check_tag(tag);
    return box(rank_).wait_and_take(source, tag);
}

std::unique_ptr<Communicator> LoopbackCommunicator::split(int color, int key) {
    using Wish =
        std::array<std::int64_t, 3>;  // colour, key, rank: sorts in the order of the new ranks
    Wish const mine{color, key, rank_};
    std::vector<Wish> wishes(static_cast<std::size_t>(size()));
    all_gather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(wishes)));
    std::int64_t const count = splits_++;
    if (color < 0) {
        return nullptr;
    }
    std::erase_if(wishes, [color](Wish const& wish) { return wish[0] != color; });
    std::ranges::sort(wishes);
    auto group =
        world_->meet({group_->number, count, color}, checked_cast<int>(std::ssize(wishes)));
    auto const place = std::ranges::find(wishes, mine) - wishes.begin();
    return std::make_unique<LoopbackCommunicator>(world_, std::move(group),
                                                  checked_cast<int>(place));
}

std::unique_ptr<Communicator> LoopbackCommunicator::duplicate() { return split(0, rank_); }

}  // namespace longhaul::comm::detail
