#pragma once

#include "device/buffer.hpp"
#include "device/gpu.hpp"
#include "comm/communicator.hpp"

#include <cstdint>
#include <memory>
#include <vector>

namespace longhaul::comm {

/// Carries device memory over a transport that knows host memory only: every message passes a pinned buffer. The way for
/// several ranks that share one GPU, and for MPI libraries that are not CUDA-aware.
///
/// Operations without a stream go to the transport unchanged. With gpu.stream() the data are device memory: what they hold is
/// taken when the work before has ended (the caller's thread waits for it), what arrives is there for the work after.
class HostStagedCommunicator final : public Communicator {
  public:
    HostStagedCommunicator(std::unique_ptr<Communicator> inner, device::Gpu const& gpu);

    [[nodiscard]] int rank() const override { return inner_->rank(); }
    [[nodiscard]] int size() const override { return inner_->size(); }
    [[nodiscard]] std::string name() const override;

    void barrier() override { inner_->barrier(); }
    void all_reduce(std::span<std::int64_t> data, ReduceOp op) override {
        inner_->all_reduce(data, op);
    }
    [[nodiscard]] Request ibroadcast(std::span<std::byte> data, int root,
                                     StreamView stream) override;
    [[nodiscard]] Request iall_gather(std::span<std::byte const> mine, std::span<std::byte> all,
                                      StreamView stream) override;
    [[nodiscard]] Request iall_to_all(std::span<std::byte const> send,
                                      std::span<std::int64_t const> send_bytes,
                                      std::span<std::byte> receive,
                                      std::span<std::int64_t const> receive_bytes,
                                      StreamView stream) override;
    [[nodiscard]] Request iall_reduce_sum(std::span<float> data, StreamView stream) override;
    [[nodiscard]] Request isend(std::span<std::byte const> data, int destination, int tag,
                                StreamView stream) override;
    [[nodiscard]] Request irecv(std::span<std::byte> data, int source, int tag,
                                StreamView stream) override;
    [[nodiscard]] std::optional<Message> try_receive(int source, int tag) override {
        return inner_->try_receive(source, tag);
    }
    [[nodiscard]] Message receive(int source, int tag) override {
        return inner_->receive(source, tag);
    }
    void progress() override { inner_->progress(); }
    [[nodiscard]] std::unique_ptr<Communicator> split(int color, int key) override;
    [[nodiscard]] std::unique_ptr<Communicator> duplicate() override;
    void close() override { inner_->close(); }

  private:
    class Staged;

    [[nodiscard]] device::PinnedBuffer take(std::int64_t bytes);
    [[nodiscard]] device::PinnedBuffer take_copy(std::span<std::byte const> data);

    std::unique_ptr<Communicator> inner_;
    device::Gpu const& gpu_;
    std::vector<device::PinnedBuffer> spare_;  // pinning memory is slow
};

}  // namespace longhaul::comm
