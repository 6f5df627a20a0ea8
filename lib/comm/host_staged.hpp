#pragma once

#include "device/buffer.hpp"
#include "device/gpu.hpp"
#include "comm/device_communicator.hpp"

#include <cstdint>
#include <memory>
#include <vector>

namespace longhaul::comm {

/// Carries device memory over a transport that knows host memory only: every message passes a pinned buffer. The way for
/// several ranks that share one GPU, and for MPI libraries that are not CUDA-aware.
///
/// Operations without a stream go to the transport unchanged. With gpu.stream() the data are device memory: what they hold is
/// taken when the work before has ended (the caller's thread waits for it), what arrives is there for the work after.
class HostStagedCommunicator final : public DeviceCommunicator {
  public:
    HostStagedCommunicator(std::unique_ptr<Communicator> inner, device::Gpu const& gpu);

    [[nodiscard]] std::string name() const override;

  private:
    class Staged;

    [[nodiscard]] std::unique_ptr<Communicator> beside(
        std::unique_ptr<Communicator> inner) override;
    [[nodiscard]] Request device_broadcast(std::span<std::byte> data, int root,
                                           StreamView stream) override;
    [[nodiscard]] Request device_all_gather(std::span<std::byte const> mine,
                                            std::span<std::byte> all, StreamView stream) override;
    [[nodiscard]] Request device_all_to_all(std::span<std::byte const> send,
                                            std::span<std::int64_t const> send_bytes,
                                            std::span<std::byte> receive,
                                            std::span<std::int64_t const> receive_bytes,
                                            StreamView stream) override;
    [[nodiscard]] Request device_all_reduce_sum(std::span<float> data, StreamView stream) override;
    [[nodiscard]] Request device_send(std::span<std::byte const> data, int destination, int tag,
                                      StreamView stream) override;
    [[nodiscard]] Request device_recv(std::span<std::byte> data, int source, int tag,
                                      StreamView stream) override;

    [[nodiscard]] device::PinnedBuffer take(std::int64_t bytes);
    [[nodiscard]] device::PinnedBuffer take_copy(std::span<std::byte const> data);

    device::Gpu const& gpu_;
    std::vector<device::PinnedBuffer> spare_;  // pinning memory is slow
};

}  // namespace longhaul::comm
