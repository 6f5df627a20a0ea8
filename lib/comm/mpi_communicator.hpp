#pragma once

#include "comm/backoff.hpp"
#include "comm/mpi_native.hpp"
#include "comm/point_to_point.hpp"

#include <list>

namespace longhaul::comm {

/// What all communicators of a run share.
struct MpiSettings {
    BackoffPolicy backoff;
    std::int64_t largest_plain_message = detail::ByteLayout::kLargestPlain;
};

/// Communicator over MPI. Private to lib/comm: users get one from MpiRuntime.
class MpiCommunicator final : public PointToPointCommunicator {
  public:
    enum class Ownership { borrowed, owned };

    MpiCommunicator(MPI_Comm comm, Ownership ownership, MpiSettings const& settings);

    [[nodiscard]] int rank() const override { return rank_; }
    [[nodiscard]] int size() const override { return size_; }
    [[nodiscard]] std::string name() const override { return "mpi"; }
    [[nodiscard]] std::optional<Message> try_receive(int source, int tag) override;
    [[nodiscard]] Message receive(int source, int tag) override;
    [[nodiscard]] std::unique_ptr<Communicator> split(int color, int key) override;
    [[nodiscard]] std::unique_ptr<Communicator> duplicate() override;
    void close() override;

  protected:
    [[nodiscard]] Request post_send(std::span<std::byte const> data, int destination,
                                    int tag) override;
    [[nodiscard]] Request post_receive(std::span<std::byte> data, int source, int tag) override;
    void progress_transport() override;

  private:
    // A probed message whose bytes are still on their way.
    struct Incoming {
        Message message;
        int tag = 0;
        MPI_Request request = MPI_REQUEST_NULL;
    };

    void begin_receiving(int source, int tag);

    MPI_Comm comm_;
    Ownership ownership_;
    MpiSettings settings_;
    int rank_ = 0;
    int size_ = 0;
    std::list<Incoming> incoming_;  // in order of arrival
};

}  // namespace longhaul::comm
