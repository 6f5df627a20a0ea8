#pragma once

#include "device/buffer.hpp"
#include "comm/device_communicator.hpp"
#include "comm/nccl.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>

struct ncclComm;

namespace longhaul::comm {

/// Exchanges device memory between GPUs by NCCL, one rank a GPU; control messages, groups and host memory go over the
/// communicator inside.
///
/// Order       Operations with a stream are enqueued in it, and their requests are done at once: the memory must stay valid in
///             the order of the stream, not of the host (work that is enqueued later may overwrite it). Nothing waits for the
///             GPU. All streams are of the session's GPU.
/// Messages    isend and irecv of one pair of ranks meet in the order of their calls, whatever their tags; a send may hold
///             the stream until its message is received, so two ranks that exchange use all_to_all
/// Sums        in rank order (ordered_sum.hpp); ncclAllReduce promises none
/// Graphs      capturable, with reserve_sum() before
/// Errors      NcclError; a peer that is lost ends the run through the watchdog
class NcclCommunicator final : public DeviceCommunicator {
  public:
    /// Collective; see NcclSession::connect. Exchanges a little at once: NCCL opens its ways to the peers with the first
    /// messages, which takes a second or two. PeerFailed, which ends the run, where they do not arrive within a minute.
    NcclCommunicator(std::unique_ptr<Communicator> inner, NcclSession::State& session);
    /// Without close(), what NCCL holds goes with the process: giving it back could wait for a lost peer.
    ~NcclCommunicator() override;

    [[nodiscard]] std::string name() const override { return "nccl beside " + inner().name(); }
    [[nodiscard]] bool capturable() const override { return true; }
    void reserve_sum(std::int64_t count) override;
    void graph_launched() override;
    void progress() override;
    void close() override;

  private:
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

    void connect();
    void warm_up();
    void wait_for_first_messages();
    void make_scratch(std::int64_t elements);

    NcclSession::State& session_;
    ncclComm* native_ = nullptr;
    device::Buffer scratch_;  // of sums
};

}  // namespace longhaul::comm
