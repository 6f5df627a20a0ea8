#pragma once

#include "device/buffer.hpp"
#include "comm/communicator.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace longhaul::comm {

/// What a message takes: latency + bytes / bandwidth, per rank and direction.
struct LinkModel {
    double latency_s = 15e-6;
    double bytes_per_s = 300e9;

    [[nodiscard]] double seconds(std::int64_t bytes) const {
        return latency_s + static_cast<double>(bytes) / bytes_per_s;
    }
};

/// A rank of a group whose other ranks do not exist: to measure the share of one rank of a grid larger than the machine.
///
/// Time        Every operation takes what the link model says, in the order of the stream (without one: of the caller). Ranks
///             are taken to be equally busy, so nobody waits for another one longer than for the message.
/// Data        Stand-ins of the right size and of plausible value: in collectives every peer brings what this rank brings; what
///             is received from one rank are small random numbers. Results mean nothing; their times do.
/// Sums        on a GPU by ordered_sum.hpp, as the other transports for GPUs do it
/// Control     barrier() and decisions return at once; there are no messages to receive() and no groups to split()
class ModelledCommunicator final : public Communicator {
  public:
    /// `gpu`: of the streams; null on the host.
    ModelledCommunicator(std::int64_t rank, std::int64_t size, LinkModel link,
                         device::Gpu const* gpu);

    [[nodiscard]] int rank() const override { return rank_; }
    [[nodiscard]] int size() const override { return size_; }
    [[nodiscard]] std::string name() const override;
    [[nodiscard]] bool capturable() const override { return true; }
    [[nodiscard]] bool capturable_together() const override { return true; }
    void reserve_sum(std::int64_t count) override;

    void barrier() override {}
    void all_reduce(std::span<std::int64_t> data, ReduceOp op) override;
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
    [[nodiscard]] std::optional<Message> try_receive(int source, int tag) override;
    [[nodiscard]] Message receive(int source, int tag) override;
    void progress() override {}
    [[nodiscard]] std::unique_ptr<Communicator> split(int color, int key) override;
    [[nodiscard]] std::unique_ptr<Communicator> duplicate() override;
    void close() override {}

  private:
    void transfer(std::int64_t bytes, StreamView stream) const;
    void fill(std::span<std::byte> data, StreamView stream);
    void make_scratch(std::int64_t elements);

    int rank_;
    int size_;
    LinkModel link_;
    device::Gpu const* gpu_;
    device::Buffer scratch_;  // of sums
    device::Buffer noise_;    // what comes from others, on a GPU
};

}  // namespace longhaul::comm
