#include "comm/host_staged.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace longhaul::comm {

/// A pending operation on pinned memory; when it is done, what arrived goes to the device and the buffers back to the owner.
class HostStagedCommunicator::Staged final : public detail::RequestState {
  public:
    explicit Staged(HostStagedCommunicator& owner) : owner_(owner) {}
    ~Staged() override {
        for (device::PinnedBuffer& buffer : buffers_) {
            owner_.spare_.push_back(std::move(buffer));
        }
    }

    [[nodiscard]] std::span<std::byte> keep(device::PinnedBuffer buffer, std::size_t bytes) {
        buffers_.push_back(std::move(buffer));
        return buffers_.back().span().first(bytes);
    }
    void deliver(std::span<std::byte const> from, std::span<std::byte> to) {
        from_ = from;
        to_ = to;
    }
    void start(Request inner) { inner_ = std::move(inner); }

    bool test() override {
        if (!inner_.test()) {
            return false;
        }
        if (!to_.empty()) {
            device::upload(&owner_.gpu_, to_.data(), from_.data(), std::ssize(to_));
            owner_.gpu_.synchronize();  // the buffer is used again
        }
        return true;
    }
    void pause(int round) override { inner_.pause(round); }

  private:
    HostStagedCommunicator& owner_;
    std::vector<device::PinnedBuffer> buffers_;
    std::span<std::byte const> from_;
    std::span<std::byte> to_;
    Request inner_;
};

HostStagedCommunicator::HostStagedCommunicator(std::unique_ptr<Communicator> inner,
                                               device::Gpu const& gpu)
    : DeviceCommunicator(std::move(inner)), gpu_(gpu) {}

std::string HostStagedCommunicator::name() const {
    return inner().name() + " through pinned memory";
}

device::PinnedBuffer HostStagedCommunicator::take(std::int64_t bytes) {
    auto const found = std::find_if(spare_.begin(), spare_.end(),
                                    [&](auto const& buffer) { return buffer.bytes() >= bytes; });
    if (found == spare_.end()) {
        return {&gpu_, bytes};
    }
    device::PinnedBuffer buffer = std::move(*found);
    spare_.erase(found);
    return buffer;
}

device::PinnedBuffer HostStagedCommunicator::take_copy(std::span<std::byte const> data) {
    device::PinnedBuffer buffer = take(std::ssize(data));
    device::download(&gpu_, buffer.data(), data.data(), std::ssize(data));
    return buffer;
}

Request HostStagedCommunicator::device_broadcast(std::span<std::byte> data, int root,
                                                 StreamView /*stream*/) {
    auto staged = std::make_unique<Staged>(*this);
    bool const mine = root == rank();
    auto const host = staged->keep(mine ? take_copy(data) : take(std::ssize(data)), data.size());
    if (!mine) {
        staged->deliver(host, data);
    }
    staged->start(inner().ibroadcast(host, root, {}));
    return Request(std::move(staged));
}

Request HostStagedCommunicator::device_all_gather(std::span<std::byte const> mine,
                                                  std::span<std::byte> all, StreamView /*stream*/) {
    auto staged = std::make_unique<Staged>(*this);
    auto const host_mine = staged->keep(take_copy(mine), mine.size());
    auto const host_all = staged->keep(take(std::ssize(all)), all.size());
    staged->deliver(host_all, all);
    staged->start(inner().iall_gather(host_mine, host_all, {}));
    return Request(std::move(staged));
}

Request HostStagedCommunicator::device_all_to_all(std::span<std::byte const> send,
                                                  std::span<std::int64_t const> send_bytes,
                                                  std::span<std::byte> receive,
                                                  std::span<std::int64_t const> receive_bytes,
                                                  StreamView /*stream*/) {
    auto staged = std::make_unique<Staged>(*this);
    auto const host_send = staged->keep(take_copy(send), send.size());
    auto const host_receive = staged->keep(take(std::ssize(receive)), receive.size());
    staged->deliver(host_receive, receive);
    staged->start(inner().iall_to_all(host_send, send_bytes, host_receive, receive_bytes, {}));
    return Request(std::move(staged));
}

Request HostStagedCommunicator::device_all_reduce_sum(std::span<float> data,
                                                      StreamView /*stream*/) {
    auto staged = std::make_unique<Staged>(*this);
    auto const bytes = std::as_writable_bytes(data);
    auto const host = staged->keep(take_copy(bytes), bytes.size());
    staged->deliver(host, bytes);
    staged->start(
        inner().iall_reduce_sum({reinterpret_cast<float*>(host.data()), data.size()}, {}));
    return Request(std::move(staged));
}

Request HostStagedCommunicator::device_send(std::span<std::byte const> data, int destination,
                                            int tag, StreamView /*stream*/) {
    auto staged = std::make_unique<Staged>(*this);
    auto const host = staged->keep(take_copy(data), data.size());
    staged->start(inner().isend(host, destination, tag, {}));
    return Request(std::move(staged));
}

Request HostStagedCommunicator::device_recv(std::span<std::byte> data, int source, int tag,
                                            StreamView /*stream*/) {
    auto staged = std::make_unique<Staged>(*this);
    auto const host = staged->keep(take(std::ssize(data)), data.size());
    staged->deliver(host, data);
    staged->start(inner().irecv(host, source, tag, {}));
    return Request(std::move(staged));
}

std::unique_ptr<Communicator> HostStagedCommunicator::beside(std::unique_ptr<Communicator> inner) {
    return std::make_unique<HostStagedCommunicator>(std::move(inner), gpu_);
}

}  // namespace longhaul::comm
