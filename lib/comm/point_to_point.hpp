#pragma once

#include "comm/communicator.hpp"
#include "comm/staged.hpp"

#include <vector>

namespace longhaul::comm {

/// The collectives, written once over the point-to-point messages of a transport, so that every transport sums in the
/// same order and gives the same bits.
///
/// Each collective takes the next tag of a range of its own; as all ranks call collectives in the same order, the stages of
/// several pending ones never mix.
class PointToPointCommunicator : public Communicator {
  public:
    void barrier() override;
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
    void progress() override;

  protected:
    // What a transport provides; tags here are below 2 * kTagLimit.
    [[nodiscard]] virtual Request post_send(std::span<std::byte const> data, int destination,
                                            int tag) = 0;
    [[nodiscard]] virtual Request post_receive(std::span<std::byte> data, int source, int tag) = 0;
    virtual void progress_transport() = 0;

    void check_peer(int peer) const;
    static void check_tag(int tag);

  private:
    using Stage = detail::StagedOperation::Stage;

    [[nodiscard]] Request start(std::vector<Stage> stages);
    [[nodiscard]] int next_collective_tag();
    [[nodiscard]] Request sum_by_gather(std::span<float> data);
    [[nodiscard]] Request sum_by_pieces(std::span<float> data);
    void exchange_with_all(std::span<std::byte const> mine, std::span<std::byte> all, int tag,
                           std::vector<Request>& pending);

    int collectives_started_ = 0;
    detail::StagedOperation::Registry unfinished_;
};

}  // namespace longhaul::comm
