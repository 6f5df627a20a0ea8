#include "ranks/comm/test_data.hpp"
#include "support/loopback_or_mpi.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <numeric>
#include <thread>

namespace longhaul::comm {
namespace {

std::vector<float> serial_sum(std::size_t count, int ranks) {
    auto sum = random_floats(count, 0);
    for (int rank = 1; rank < ranks; ++rank) {
        auto const values = random_floats(count, rank);
        for (std::size_t i = 0; i < count; ++i) {
            sum[i] += values[i];
        }
    }
    return sum;
}

LH_RANK_TEST(Collectives, AllReduceSumHasTheBitsOfTheSerialSumInRankOrder) {
    // Sizes around the block of the summation and the change of algorithm, fewer elements than ranks, odd cuts.
    for (std::size_t const count :
         {0, 1, 2, 7, 64, 500, 1023, 1025, 4095, 4096, 4097, 5003, 30001}) {
        auto values = random_floats(count, world.rank());

        world.all_reduce_sum(values);

        EXPECT_EQ(bits_of(values), bits_of(serial_sum(count, world.size())))
            << count << " elements, seed " << kSeed;
    }
}

LH_RANK_TEST(Collectives, AllReduceSumKeepsTheSignOfZero) {
    std::array<float, 2> values{-0.0F, world.rank() == 0 ? -0.0F : 0.0F};

    world.all_reduce_sum(values);

    EXPECT_TRUE(std::signbit(values[0]));
    EXPECT_EQ(std::signbit(values[1]), world.size() == 1);
}

LH_RANK_TEST(Collectives, AllReduceSumDoesNotDependOnCompany) {
    // The same row alone and inside messages of other lengths, at other positions.
    constexpr std::size_t kRow = 576;
    auto const row = random_floats(kRow, world.rank());
    auto alone = row;
    world.all_reduce_sum(alone);
    for (std::size_t const position : {0, 1, 9, 19}) {
        auto many = random_floats(kRow * 20, world.rank() + 100);
        std::ranges::copy(row, many.begin() + static_cast<std::ptrdiff_t>(position * kRow));

        world.all_reduce_sum(many);

        EXPECT_EQ(bits_of(std::span(many).subspan(position * kRow, kRow)), bits_of(alone));
    }
}

LH_RANK_TEST(Collectives, AllReduceOfCounters) {
    std::int64_t const ranks = world.size();
    std::array<std::int64_t, 2> const mine{world.rank() + 1,
                                           -(std::int64_t{1} << 40) * world.rank()};
    auto sum = mine;
    auto least = mine;
    auto most = mine;

    world.all_reduce(sum, ReduceOp::sum);
    world.all_reduce(least, ReduceOp::min);
    world.all_reduce(most, ReduceOp::max);

    EXPECT_EQ(sum,
              (std::array<std::int64_t, 2>{ranks * (ranks + 1) / 2,
                                           -(std::int64_t{1} << 40) * (ranks * (ranks - 1) / 2)}));
    EXPECT_EQ(least, (std::array<std::int64_t, 2>{1, -(std::int64_t{1} << 40) * (ranks - 1)}));
    EXPECT_EQ(most, (std::array<std::int64_t, 2>{ranks, 0}));
}

LH_RANK_TEST(Collectives, BroadcastFromEveryRoot) {
    for (int root = 0; root < world.size(); ++root) {
        for (std::size_t const bytes : {0, 1, 1000, 120'001}) {
            auto const expected = pattern(bytes, static_cast<std::uint64_t>(root) + bytes);
            auto data = world.rank() == root ? expected : std::vector<std::byte>(bytes);

            world.broadcast(data, root);

            EXPECT_EQ(data, expected) << "root " << root << ", " << bytes << " bytes";
        }
    }
}

LH_RANK_TEST(Collectives, AllGatherInRankOrder) {
    for (std::size_t const bytes : {0, 1, 77, 40000}) {
        std::vector<std::byte> expected;
        for (int rank = 0; rank < world.size(); ++rank) {
            std::ranges::copy(pattern(bytes, static_cast<std::uint64_t>(rank)),
                              std::back_inserter(expected));
        }
        std::vector<std::byte> all(expected.size());
        auto in_place = expected;
        std::ranges::fill(in_place, std::byte{0});
        auto const own =
            std::span(in_place).subspan(static_cast<std::size_t>(world.rank()) * bytes, bytes);
        std::ranges::copy(pattern(bytes, static_cast<std::uint64_t>(world.rank())), own.begin());

        world.all_gather(pattern(bytes, static_cast<std::uint64_t>(world.rank())), all);
        world.all_gather(own, in_place);

        EXPECT_EQ(all, expected);
        EXPECT_EQ(in_place, expected);
    }
}

// Bytes that rank `from` sends to rank `to` in one round; about a third of the pieces is empty.
std::int64_t piece_bytes(int from, int to, std::uint32_t round) {
    std::mt19937 random(kSeed + round * 10000 + static_cast<std::uint32_t>(from) * 100 +
                        static_cast<std::uint32_t>(to));
    auto const kind = random() % 6;
    return kind < 2 ? 0 : static_cast<std::int64_t>(random() % (kind == 5 ? 50000 : 100));
}

std::uint64_t piece_seed(int from, int to) {
    return static_cast<std::uint64_t>(from) * 64 + static_cast<std::uint64_t>(to);
}

struct Exchange {
    std::vector<std::byte> send, receive, expected;
    std::vector<std::int64_t> send_bytes, receive_bytes;

    Exchange(Communicator const& world, std::uint32_t round) {
        for (int peer = 0; peer < world.size(); ++peer) {
            send_bytes.push_back(piece_bytes(world.rank(), peer, round));
            receive_bytes.push_back(piece_bytes(peer, world.rank(), round));
            std::ranges::copy(pattern(static_cast<std::size_t>(send_bytes.back()),
                                      piece_seed(world.rank(), peer)),
                              std::back_inserter(send));
            std::ranges::copy(pattern(static_cast<std::size_t>(receive_bytes.back()),
                                      piece_seed(peer, world.rank())),
                              std::back_inserter(expected));
        }
        receive.resize(expected.size());
    }
};

LH_RANK_TEST(Collectives, AllToAllWithRandomCounts) {
    for (std::uint32_t round = 0; round < 20; ++round) {
        Exchange exchange(world, round);

        world.all_to_all(exchange.send, exchange.send_bytes, exchange.receive,
                         exchange.receive_bytes);

        EXPECT_EQ(exchange.receive, exchange.expected) << "round " << round << ", seed " << kSeed;
    }
}

LH_RANK_TEST(Collectives, AllToAllOfNothing) {
    std::vector<std::int64_t> const none(static_cast<std::size_t>(world.size()), 0);

    world.all_to_all({}, none, {}, none);
}

LH_RANK_TEST(Collectives, SeveralPendingOnesEndInAnyOrder) {
    Exchange exchange(world, 77);
    auto small = random_floats(100, world.rank());
    auto large = random_floats(30001, world.rank());
    auto const text = pattern(5000, 3);
    auto copy = world.rank() == world.size() - 1 ? text : std::vector<std::byte>(text.size());
    std::vector<std::byte> ids(static_cast<std::size_t>(world.size()));
    std::array<std::byte, 1> const id{static_cast<std::byte>(world.rank())};

    auto sum_small = world.iall_reduce_sum(small);
    auto broadcast = world.ibroadcast(copy, world.size() - 1);
    auto sum_large = world.iall_reduce_sum(large);
    auto gather = world.iall_gather(id, ids);
    auto all_to_all = world.iall_to_all(exchange.send, exchange.send_bytes, exchange.receive,
                                        exchange.receive_bytes);
    world.barrier();
    all_to_all.wait();
    sum_large.wait();
    gather.wait();
    broadcast.wait();
    sum_small.wait();

    EXPECT_EQ(bits_of(small), bits_of(serial_sum(100, world.size())));
    EXPECT_EQ(bits_of(large), bits_of(serial_sum(30001, world.size())));
    EXPECT_EQ(copy, text);
    EXPECT_EQ(exchange.receive, exchange.expected);
    for (int rank = 0; rank < world.size(); ++rank) {
        EXPECT_EQ(ids[static_cast<std::size_t>(rank)], static_cast<std::byte>(rank));
    }
}

LH_RANK_TEST(Collectives, ProgressAloneAdvancesAPendingSum) {
    // Rank 0 needs the second stage of all others, which do nothing but call progress() until rank 0 has its sum.
    auto values = random_floats(20000, world.rank());
    auto sum = world.iall_reduce_sum(values);
    if (world.rank() == 0) {
        sum.wait();
        for (int peer = 1; peer < world.size(); ++peer) {
            world.send({}, peer, 1);
        }
    } else {
        auto const limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!world.try_receive(0, 1)) {
            ASSERT_LT(std::chrono::steady_clock::now(), limit)
                << "rank 0 waits for the stage that nobody starts";
            world.progress();
            std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
        sum.wait();
    }

    EXPECT_EQ(bits_of(values), bits_of(serial_sum(20000, world.size())));
}

LH_RANK_TEST(Collectives, BarrierHoldsBackEveryRank) {
    // Nobody passes round k before the slowest rank has entered it.
    using Clock = std::chrono::steady_clock;
    for (int slow = 0; slow < world.size(); ++slow) {
        if (world.rank() == slow) {
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        std::array<std::int64_t, 1> entered{Clock::now().time_since_epoch().count()};

        world.barrier();

        auto const left = Clock::now().time_since_epoch().count();
        world.all_reduce(entered, ReduceOp::max);
        EXPECT_GE(left, entered[0]);
    }
}

}  // namespace
}  // namespace longhaul::comm
