#pragma once

#include "comm/communicator.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

namespace longhaul::comm {

/// A way for device memory beside a communicator for host memory. Operations without a stream, control messages and groups go to
/// the one inside; what a derived class carries are the operations on a stream.
class DeviceCommunicator : public Communicator {
  public:
    [[nodiscard]] int rank() const final { return inner_->rank(); }
    [[nodiscard]] int size() const final { return inner_->size(); }
    void barrier() final { inner_->barrier(); }
    void all_reduce(std::span<std::int64_t> data, ReduceOp op) final {
        inner_->all_reduce(data, op);
    }
    [[nodiscard]] Request ibroadcast(std::span<std::byte> data, int root, StreamView stream) final {
        return stream.native == nullptr ? inner_->ibroadcast(data, root, {})
                                        : device_broadcast(data, root, stream);
    }
    [[nodiscard]] Request iall_gather(std::span<std::byte const> mine, std::span<std::byte> all,
                                      StreamView stream) final {
        return stream.native == nullptr ? inner_->iall_gather(mine, all, {})
                                        : device_all_gather(mine, all, stream);
    }
    [[nodiscard]] Request iall_to_all(std::span<std::byte const> send,
                                      std::span<std::int64_t const> send_bytes,
                                      std::span<std::byte> receive,
                                      std::span<std::int64_t const> receive_bytes,
                                      StreamView stream) final {
        return stream.native == nullptr
                   ? inner_->iall_to_all(send, send_bytes, receive, receive_bytes, {})
                   : device_all_to_all(send, send_bytes, receive, receive_bytes, stream);
    }
    [[nodiscard]] Request iall_reduce_sum(std::span<float> data, StreamView stream) final {
        return stream.native == nullptr ? inner_->iall_reduce_sum(data, {})
                                        : device_all_reduce_sum(data, stream);
    }
    [[nodiscard]] Request isend(std::span<std::byte const> data, int destination, int tag,
                                StreamView stream) final {
        return stream.native == nullptr ? inner_->isend(data, destination, tag, {})
                                        : device_send(data, destination, tag, stream);
    }
    [[nodiscard]] Request irecv(std::span<std::byte> data, int source, int tag,
                                StreamView stream) final {
        return stream.native == nullptr ? inner_->irecv(data, source, tag, {})
                                        : device_recv(data, source, tag, stream);
    }
    [[nodiscard]] std::optional<Message> try_receive(int source, int tag) final {
        return inner_->try_receive(source, tag);
    }
    [[nodiscard]] Message receive(int source, int tag) final {
        return inner_->receive(source, tag);
    }
    void progress() override { inner_->progress(); }
    [[nodiscard]] std::unique_ptr<Communicator> split(int color, int key) final {
        auto part = inner_->split(color, key);
        return part ? beside(std::move(part)) : nullptr;
    }
    [[nodiscard]] std::unique_ptr<Communicator> duplicate() final {
        return beside(inner_->duplicate());
    }
    void close() override { inner_->close(); }

  protected:
    explicit DeviceCommunicator(std::unique_ptr<Communicator> inner) : inner_(std::move(inner)) {}

    [[nodiscard]] Communicator& inner() const { return *inner_; }
    /// The same way beside another communicator. Collective over that one.
    [[nodiscard]] virtual std::unique_ptr<Communicator> beside(
        std::unique_ptr<Communicator> inner) = 0;

    [[nodiscard]] virtual Request device_broadcast(std::span<std::byte> data, int root,
                                                   StreamView stream) = 0;
    [[nodiscard]] virtual Request device_all_gather(std::span<std::byte const> mine,
                                                    std::span<std::byte> all,
                                                    StreamView stream) = 0;
    [[nodiscard]] virtual Request device_all_to_all(std::span<std::byte const> send,
                                                    std::span<std::int64_t const> send_bytes,
                                                    std::span<std::byte> receive,
                                                    std::span<std::int64_t const> receive_bytes,
                                                    StreamView stream) = 0;
    [[nodiscard]] virtual Request device_all_reduce_sum(std::span<float> data,
                                                        StreamView stream) = 0;
    [[nodiscard]] virtual Request device_send(std::span<std::byte const> data, int destination,
                                              int tag, StreamView stream) = 0;
    [[nodiscard]] virtual Request device_recv(std::span<std::byte> data, int source, int tag,
                                              StreamView stream) = 0;

  private:
    std::unique_ptr<Communicator> inner_;
};

}  // namespace longhaul::comm
