// NCCL wants a GPU a rank, so one GPU shows communicators of one rank: every call, its order in the stream, its end.
#include "device/graph.hpp"
#include "comm/nccl.hpp"
#include "ranks/comm/cuda/cuda_comm_support.hpp"
#include "ranks/comm/test_data.hpp"
#include "support/loopback_or_mpi.hpp"

#include <chrono>
#include <cstdlib>
#include <string>

namespace longhaul::comm {
namespace {

class NcclTest : public CudaCommTest {
  protected:
    void SetUp() override {
        CudaCommTest::SetUp();
        if (!IsSkipped() && !nccl_status().missing.empty()) {
            GTEST_SKIP() << "no NCCL: " << nccl_status().missing;
        }
    }

    /// `body(nccl, gpu)` with a watched communicator.
    template <class Body>
    static void on_one_rank(Body const& body) {
        test_support::run_on_loopback(1, [&](Communicator& world) {
            device::Gpu const gpu(0);
            NcclSession session(gpu);
            auto nccl = session.connect(world.duplicate());
            session.start_watchdog(world.duplicate());
            body(*nccl, gpu);
            session.finish();
            nccl->close();
        });
    }
};

TEST_F(NcclTest, SaysWhatItIs) {
    on_one_rank([](Communicator& nccl, device::Gpu const& /*gpu*/) {
        EXPECT_EQ(nccl.rank(), 0);
        EXPECT_EQ(nccl.size(), 1);
        EXPECT_TRUE(nccl.capturable());
        EXPECT_EQ(nccl.name(), "nccl beside loopback");
        EXPECT_STREQ(std::getenv("NCCL_NVLS_ENABLE"), "0");
    });
    RecordProperty("nccl", describe_nccl());
}

TEST_F(NcclTest, BroadcastAndAllGather) {
    on_one_rank([](Communicator& nccl, device::Gpu const& gpu) {
        for (std::size_t const bytes : {0, 1, 77, 4097, 5'000'003}) {
            auto const text = pattern(bytes, bytes);
            OnGpu<std::byte> const mine(gpu, text);
            OnGpu<std::byte> const all(gpu, bytes);

            nccl.broadcast(mine.bytes(), 0, gpu.stream());
            nccl.all_gather(mine.bytes(), all.bytes(), gpu.stream());
            nccl.all_gather(mine.bytes(), mine.bytes(), gpu.stream());

            EXPECT_EQ(mine.values(), text) << bytes << " bytes";
            EXPECT_EQ(all.values(), text) << bytes << " bytes";
        }
    });
}

// Sends and receives in a group: what all_to_all and the long sums are made of.
TEST_F(NcclTest, AllToAll) {
    on_one_rank([](Communicator& nccl, device::Gpu const& gpu) {
        for (std::size_t const bytes : {0, 1, 3, 4097, 5'000'003}) {
            auto const text = pattern(bytes, bytes);
            OnGpu<std::byte> const from(gpu, text);
            OnGpu<std::byte> const to(gpu, bytes);
            std::vector<std::int64_t> const counts{static_cast<std::int64_t>(bytes)};

            nccl.all_to_all(from.bytes(), counts, to.bytes(), counts, gpu.stream());

            EXPECT_EQ(to.values(), text) << bytes << " bytes";
        }
    });
}

TEST_F(NcclTest, SumOfOneRankIsItself) {
    on_one_rank([](Communicator& nccl, device::Gpu const& gpu) {
        for (std::size_t const count : {0, 1, 577, 16385, 100'003}) {
            auto const values = random_floats(count, 0);
            OnGpu<float> const data(gpu, values);

            nccl.all_reduce_sum(data.span(), gpu.stream());

            EXPECT_EQ(bits_of(data.values()), bits_of(values)) << count << " elements";
        }
    });
}

TEST_F(NcclTest, EmptyMessagesNeedNoReceiver) {
    on_one_rank([](Communicator& nccl, device::Gpu const& gpu) {
        nccl.isend({}, 0, 1, gpu.stream()).wait();
        nccl.irecv({}, 0, 1, gpu.stream()).wait();
    });
}

// Nothing waits for the GPU, and each operation sees what the stream has done before it.
TEST_F(NcclTest, OperationsAreOrderedInTheStream) {
    on_one_rank([](Communicator& nccl, device::Gpu const& gpu) {
        constexpr std::size_t kBytes = 8 << 20;
        constexpr int kRounds = 20;
        OnGpu<std::byte> const first(gpu, pattern(kBytes, 0));
        OnGpu<std::byte> const from(gpu, kBytes);
        OnGpu<std::byte> const to(gpu, kBytes);
        std::vector<std::int64_t> const counts{kBytes};
        std::vector<std::byte> const last = pattern(kBytes, 99);
        OnGpu<std::byte> const changed(gpu, last);
        for (int round = 0; round < kRounds; ++round) {
            auto const& source = round + 1 < kRounds ? first : changed;
            device::copy(&gpu, from.span().data(), source.span().data(), kBytes);
            auto request = nccl.iall_to_all(from.bytes(), counts, to.bytes(), counts, gpu.stream());
            EXPECT_FALSE(request.active());
        }
        // Overwritten behind the last operation, as the engine does with the buffers of its sends.
        device::fill_zero(&gpu, from.span().data(), kBytes);
        EXPECT_EQ(to.values(), last);
    });
}

TEST_F(NcclTest, OperationsAreRecordedInAGraph) {
    on_one_rank([](Communicator& nccl, device::Gpu const& gpu) {
        constexpr std::size_t kBytes = 100'001;
        OnGpu<std::byte> const from(gpu, pattern(kBytes, 0));
        OnGpu<std::byte> const middle(gpu, kBytes);
        OnGpu<std::byte> const to(gpu, kBytes);
        std::vector<std::int64_t> const counts{kBytes};
        auto const work = [&] {
            nccl.all_to_all(from.bytes(), counts, middle.bytes(), counts, gpu.stream());
            nccl.all_gather(middle.bytes(), to.bytes(), gpu.stream());
        };
        work();  // connects
        device::fill_zero(&gpu, to.span().data(), kBytes);
        device::Graph const graph(gpu, work);
        EXPECT_EQ(to.values(), std::vector<std::byte>(kBytes)) << "recorded, not run";
        for (std::uint64_t const seed : {1, 2}) {
            auto const text = pattern(kBytes, seed);
            device::upload(&gpu, from.span().data(), text.data(), kBytes);

            graph.launch();

            EXPECT_EQ(to.values(), text);
        }
        work();  // and on without a graph
    });
}

TEST_F(NcclTest, HostMemoryAndControlGoBesideIt) {
    on_one_rank([](Communicator& nccl, device::Gpu const& /*gpu*/) {
        auto values = random_floats(100, 0);
        nccl.all_reduce_sum(values);
        EXPECT_EQ(bits_of(values), bits_of(random_floats(100, 0)));
        std::int64_t number = 7;
        nccl.all_reduce(std::span(&number, 1), ReduceOp::max);
        EXPECT_EQ(number, 7);
        nccl.barrier();
        nccl.progress();
    });
}

TEST_F(NcclTest, GroupsAreConnectedToo) {
    on_one_rank([](Communicator& nccl, device::Gpu const& gpu) {
        EXPECT_EQ(nccl.split(-1, 0), nullptr);
        auto const part = nccl.split(3, 0);
        auto const copy = nccl.duplicate();
        OnGpu<std::byte> const data(gpu, pattern(1000, 5));
        for (Communicator* const group : {part.get(), copy.get()}) {
            group->broadcast(data.bytes(), 0, gpu.stream());
            EXPECT_EQ(data.values(), pattern(1000, 5));
            group->close();
        }
    });
}

TEST_F(NcclTest, TheWatchdogLooksOnForSecondsAndEndsAtOnce) {
    using Clock = std::chrono::steady_clock;
    Clock::time_point left;
    on_one_rank([&](Communicator& nccl, device::Gpu const& gpu) {
        OnGpu<std::byte> const data(gpu, pattern(1 << 20, 1));
        auto const end = Clock::now() + std::chrono::seconds(3);
        while (Clock::now() < end) {
            nccl.broadcast(data.bytes(), 0, gpu.stream());
            nccl.progress();
            gpu.synchronize();
        }
        left = Clock::now();
    });
    EXPECT_LT(Clock::now() - left, std::chrono::seconds(2));
}

}  // namespace
}  // namespace longhaul::comm
