// Ranks that share the GPU: every operation on device memory against the same one on host memory.
#include "comm/host_staged.hpp"
#include "comm/ordered_sum.hpp"
#include "ranks/comm/cuda/cuda_comm_support.hpp"
#include "ranks/comm/test_data.hpp"
#include "support/loopback_or_mpi.hpp"

#include <numeric>

namespace longhaul::comm {
namespace {

constexpr int kRanks = 3;

class HostStagedTest : public CudaCommTest {
  protected:
    /// `body(world, staged, gpu)` on ranks that share the GPU.
    template <class Body>
    static void on_ranks(Body const& body) {
        test_support::run_on_loopback(kRanks, [&](Communicator& world) {
            device::Gpu const gpu(0);
            HostStagedCommunicator staged(world.duplicate(), gpu);
            body(world, staged, gpu);
        });
    }
};

std::vector<std::byte> message(std::size_t bytes, int rank) {
    return pattern(bytes, static_cast<std::uint64_t>(rank) * 1000 + bytes);
}

TEST_F(HostStagedTest, Broadcast) {
    on_ranks([](Communicator& world, Communicator& staged, device::Gpu const& gpu) {
        for (std::size_t const bytes : {0, 1, 1001, 300'000}) {
            int const root = static_cast<int>(bytes % kRanks);
            auto expected = message(bytes, world.rank());
            OnGpu<std::byte> const data(gpu, expected);
            world.broadcast(expected, root);

            staged.broadcast(data.bytes(), root, gpu.stream());

            EXPECT_EQ(data.values(), expected) << bytes << " bytes from " << root;
        }
    });
}

TEST_F(HostStagedTest, AllGather) {
    on_ranks([](Communicator& world, Communicator& staged, device::Gpu const& gpu) {
        for (std::size_t const bytes : {0, 1, 77, 40'000}) {
            auto const mine = message(bytes, world.rank());
            std::vector<std::byte> expected(bytes * kRanks);
            world.all_gather(mine, expected);
            OnGpu<std::byte> const piece(gpu, mine);
            OnGpu<std::byte> const all(gpu, expected.size());

            staged.all_gather(piece.bytes(), all.bytes(), gpu.stream());

            EXPECT_EQ(all.values(), expected) << bytes << " bytes";
        }
    });
}

TEST_F(HostStagedTest, AllToAll) {
    on_ranks([](Communicator& world, Communicator& staged, device::Gpu const& gpu) {
        auto const bytes_between = [](int from, int to) {
            return from == to ? 5 : 1001 * ((from + 2 * to) % 3);
        };
        std::vector<std::int64_t> send_bytes;
        std::vector<std::int64_t> receive_bytes;
        for (int peer = 0; peer < kRanks; ++peer) {
            send_bytes.push_back(bytes_between(world.rank(), peer));
            receive_bytes.push_back(bytes_between(peer, world.rank()));
        }
        auto const total = [](std::vector<std::int64_t> const& counts) {
            return static_cast<std::size_t>(
                std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
        };
        auto const send = message(total(send_bytes), world.rank());
        std::vector<std::byte> expected(total(receive_bytes));
        world.all_to_all(send, send_bytes, expected, receive_bytes);
        OnGpu<std::byte> const from(gpu, send);
        OnGpu<std::byte> const to(gpu, expected.size());

        staged.all_to_all(from.bytes(), send_bytes, to.bytes(), receive_bytes, gpu.stream());

        EXPECT_EQ(to.values(), expected);
    });
}

TEST_F(HostStagedTest, AllReduceSum) {
    on_ranks([](Communicator& world, Communicator& staged, device::Gpu const& gpu) {
        for (std::size_t const count : {0, 1, 577, 4097, 100'003}) {
            auto expected = random_floats(count, world.rank());
            OnGpu<float> const data(gpu, expected);
            world.all_reduce_sum(expected);

            staged.all_reduce_sum(data.span(), gpu.stream());

            EXPECT_EQ(bits_of(data.values()), bits_of(expected)) << count << " elements";
        }
    });
}

// The sum that NCCL gets, over the transport that one GPU allows.
TEST_F(HostStagedTest, OrderedSumOnTheGpu) {
    on_ranks([](Communicator& world, Communicator& staged, device::Gpu const& gpu) {
        for (std::size_t const count : {0, 1, 577, 16384, 16385, 49'152, 100'003}) {
            auto expected = random_floats(count, world.rank());
            OnGpu<float> const data(gpu, expected);
            OnGpu<float> const scratch(gpu, static_cast<std::size_t>(detail::ordered_sum_scratch(
                                                static_cast<std::int64_t>(count), world.size())));
            world.all_reduce_sum(expected);

            detail::ordered_sum(staged, data.span(), scratch.span(), gpu.stream());

            EXPECT_EQ(bits_of(data.values()), bits_of(expected)) << count << " elements";
        }
    });
}

TEST_F(HostStagedTest, MessagesFromRankToRank) {
    on_ranks([](Communicator& world, Communicator& staged, device::Gpu const& gpu) {
        int const next = (world.rank() + 1) % kRanks;
        int const previous = (world.rank() + kRanks - 1) % kRanks;
        std::vector<OnGpu<std::byte>> sent;
        std::vector<Request> requests;
        for (std::size_t const bytes : {0, 1, 100'001}) {
            sent.emplace_back(gpu, message(bytes, world.rank()));
            requests.push_back(staged.isend(sent.back().bytes(), next, 7, gpu.stream()));
        }
        for (std::size_t const bytes : {0, 1, 100'001}) {
            OnGpu<std::byte> const received(gpu, bytes);
            staged.recv(received.bytes(), previous, 7, gpu.stream());
            EXPECT_EQ(received.values(), message(bytes, previous)) << bytes << " bytes";
        }
        for (Request& request : requests) {
            request.wait();
        }
    });
}

TEST_F(HostStagedTest, HostMemoryGoesItsUsualWay) {
    on_ranks([](Communicator& world, Communicator& staged, device::Gpu const& /*gpu*/) {
        auto values = random_floats(5000, world.rank());
        auto expected = values;
        world.all_reduce_sum(expected);

        staged.all_reduce_sum(values);

        EXPECT_EQ(bits_of(values), bits_of(expected));
    });
}

TEST_F(HostStagedTest, GroupsCarryDeviceMemoryToo) {
    on_ranks([](Communicator& world, Communicator& staged, device::Gpu const& gpu) {
        auto const part = staged.split(world.rank() == 1 ? -1 : 0, -world.rank());
        ASSERT_EQ(part != nullptr, world.rank() != 1);
        if (part) {
            OnGpu<std::byte> const data(gpu, message(100, world.rank()));
            part->broadcast(data.bytes(), 0, gpu.stream());  // rank 2 comes first
            EXPECT_EQ(data.values(), message(100, 2));
            part->close();
        }
        auto const copy = staged.duplicate();
        copy->barrier();
        copy->close();
    });
}

}  // namespace
}  // namespace longhaul::comm
