#pragma once

#include "comm/loopback_mailbox.hpp"
#include "comm/point_to_point.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <vector>

// Private to the loopback transport.
namespace longhaul::comm::detail {

/// The mailboxes of one communicator, shared by its ranks.
struct LoopbackGroup {
    LoopbackGroup(std::int64_t number, int size, FailureFlag const& failure);

    std::int64_t const number;
    std::vector<std::unique_ptr<Mailbox>> boxes;
};

/// The process that the ranks share.
class LoopbackWorld {
  public:
    [[nodiscard]] FailureFlag const& failure() const { return failure_; }

    [[nodiscard]] std::shared_ptr<LoopbackGroup> make_group(int size);
    /// The group that all `size` members of a collective split ask for with the same key (parent, count, colour).
    [[nodiscard]] std::shared_ptr<LoopbackGroup> meet(
        std::tuple<std::int64_t, std::int64_t, int> const& key, int size);
    /// Records a rank's failure and wakes all ranks. True for the first one only.
    bool fail(std::string message);

  private:
    struct Meeting {
        std::shared_ptr<LoopbackGroup> group;
        int still_to_come = 0;
    };

    [[nodiscard]] std::shared_ptr<LoopbackGroup> make_group_locked(int size);

    FailureFlag failure_;
    std::mutex mutex_;
    std::int64_t groups_made_ = 0;
    std::vector<std::weak_ptr<LoopbackGroup>> groups_;
    std::map<std::tuple<std::int64_t, std::int64_t, int>, Meeting> meetings_;
};

/// Ranks are threads of one process; messages are copied through mailboxes.
class LoopbackCommunicator final : public PointToPointCommunicator {
  public:
    LoopbackCommunicator(std::shared_ptr<LoopbackWorld> world, std::shared_ptr<LoopbackGroup> group,
                         int rank);

    [[nodiscard]] int rank() const override { return rank_; }
    [[nodiscard]] int size() const override { return static_cast<int>(group_->boxes.size()); }
    [[nodiscard]] std::string name() const override { return "loopback"; }
    [[nodiscard]] std::optional<Message> try_receive(int source, int tag) override;
    [[nodiscard]] Message receive(int source, int tag) override;
    [[nodiscard]] std::unique_ptr<Communicator> split(int color, int key) override;
    [[nodiscard]] std::unique_ptr<Communicator> duplicate() override;
    void close() override {}

  protected:
    [[nodiscard]] Request post_send(std::span<std::byte const> data, int destination,
                                    int tag) override;
    [[nodiscard]] Request post_receive(std::span<std::byte> data, int source, int tag) override;
    void progress_transport() override {}

  private:
    [[nodiscard]] Mailbox& box(int rank) { return *group_->boxes[static_cast<std::size_t>(rank)]; }

    std::shared_ptr<LoopbackWorld> world_;
    std::shared_ptr<LoopbackGroup> group_;
    int rank_;
    std::int64_t splits_ = 0;
};

}  // namespace longhaul::comm::detail
