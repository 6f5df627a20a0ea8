#include "app/bench_messages.hpp"

#include "comm/loopback.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <mutex>
#include <string>

namespace longhaul::app {
namespace {

constexpr std::array kOperations{"all_reduce_sum", "all_to_all", "all_gather", "broadcast",
                                 "send_recv"};

/// A transport that damages the last element of what one operation brings to one rank.
class Damaging final : public comm::Communicator {
  public:
    Damaging(comm::Communicator& inner, std::string operation, int victim)
        : inner_(inner), operation_(std::move(operation)), victim_(victim) {}

    int rank() const override { return inner_.rank(); }
    int size() const override { return inner_.size(); }
    std::string name() const override { return "damaging"; }
    void barrier() override { inner_.barrier(); }
    void all_reduce(std::span<std::int64_t> data, comm::ReduceOp op) override {
        inner_.all_reduce(data, op);
    }
    comm::Request ibroadcast(std::span<std::byte> data, int root, StreamView stream) override {
        inner_.broadcast(data, root, stream);
        return damage("broadcast", data);
    }
    comm::Request iall_gather(std::span<std::byte const> mine, std::span<std::byte> all,
                              StreamView stream) override {
        inner_.all_gather(mine, all, stream);
        return damage("all_gather", all);
    }
    comm::Request iall_to_all(std::span<std::byte const> send,
                              std::span<std::int64_t const> send_bytes,
                              std::span<std::byte> receive,
                              std::span<std::int64_t const> receive_bytes,
                              StreamView stream) override {
        inner_.all_to_all(send, send_bytes, receive, receive_bytes, stream);
        return damage("all_to_all", receive);
    }
    comm::Request iall_reduce_sum(std::span<float> data, StreamView stream) override {
        inner_.all_reduce_sum(data, stream);
        return damage("all_reduce_sum", std::as_writable_bytes(data));
    }
    comm::Request isend(std::span<std::byte const> data, int destination, int tag,
                        StreamView stream) override {
        return inner_.isend(data, destination, tag, stream);
    }
    comm::Request irecv(std::span<std::byte> data, int source, int tag,
                        StreamView stream) override {
        inner_.recv(data, source, tag, stream);
        return damage("send_recv", data);
    }
    std::optional<comm::Message> try_receive(int source, int tag) override {
        return inner_.try_receive(source, tag);
    }
    comm::Message receive(int source, int tag) override { return inner_.receive(source, tag); }
    void progress() override { inner_.progress(); }
    std::unique_ptr<comm::Communicator> split(int color, int key) override {
        return inner_.split(color, key);
    }
    std::unique_ptr<comm::Communicator> duplicate() override { return inner_.duplicate(); }
    void close() override { inner_.close(); }

  private:
    comm::Request damage(std::string const& operation, std::span<std::byte> data) const {
        bool const short_text = data.size() < 1024;  // of the ranks that agree on an error
        if (operation == operation_ && rank() == victim_ && !short_text) {
            data.back() ^= std::byte{1};
        }
        return {};
    }

    comm::Communicator& inner_;
    std::string operation_;
    int victim_;
};

TEST(BenchMessages, EveryOperationAndSizeOnAnyRanks) {
    for (int const ranks : {2, 3, 5}) {
        std::mutex lock;
        std::vector<std::vector<BenchRow>> tables;
        comm::run_loopback(ranks, [&](comm::Communicator& world) {
            auto table = bench_messages(world, nullptr, {1, 100'000}, 3);
            std::scoped_lock const guard(lock);
            tables.push_back(std::move(table));
        });
        for (auto const& table : tables) {
            EXPECT_EQ(table, tables.front()) << "ranks disagree";
        }
        auto const& table = tables.front();
        ASSERT_EQ(table.size(), 2 * kOperations.size());
        for (std::size_t i = 0; i < table.size(); ++i) {
            EXPECT_EQ(table[i]["operation"], kOperations[i % kOperations.size()]);
            EXPECT_EQ(table[i]["ranks"], ranks);
            EXPECT_EQ(table[i]["transport"], "loopback");
            std::int64_t const bytes = table[i]["bytes"];
            EXPECT_EQ(bytes % (16 * ranks), 0);
            EXPECT_GE(bytes, i < kOperations.size() ? 1 : 100'000);
            EXPECT_LT(bytes, (i < kOperations.size() ? 1 : 100'000) + 16 * ranks);
        }
    }
}

TEST(BenchMessages, NoticesDamageInEveryOperation) {
    for (std::string const operation : kOperations) {
        int const ranks = 3;
        int const victim = operation == "send_recv" ? 1 : 2;
        std::atomic<int> noticed{0};
        comm::run_loopback(ranks, [&](comm::Communicator& world) {
            Damaging damaging(world, operation, victim);
            try {
                static_cast<void>(bench_messages(damaging, nullptr, {100'000}, 1));
            } catch (WrongMessage const& error) {
                EXPECT_THAT(error.what(),
                            testing::AllOf(testing::HasSubstr("rank "),
                                           testing::HasSubstr(operation + " of 100032 bytes"),
                                           testing::HasSubstr("damaging")));
                ++noticed;
            }
        });
        EXPECT_EQ(noticed, ranks) << operation;
    }
}

}  // namespace
}  // namespace longhaul::app
