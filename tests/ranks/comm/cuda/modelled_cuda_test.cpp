#include "device/delay.hpp"
#include "device/graph.hpp"
#include "device/stream_clock.hpp"
#include "comm/modelled_communicator.hpp"
#include "ranks/comm/cuda/cuda_comm_support.hpp"
#include "ranks/comm/test_data.hpp"

#include <cmath>
#include <vector>

namespace longhaul::comm {
namespace {

using StreamClock = device::StreamClock;

class StreamClockTest : public CudaCommTest {};
class ModelledCudaTest : public CudaCommTest {};

TEST_F(StreamClockTest, TellsPartsApart) {
    device::Gpu const gpu(0);
    StreamClock clock(gpu, 3);
    device::delay(50e-3, gpu.stream());  // before the first mark: nobody's
    clock.mark(0);
    device::delay(2e-3, gpu.stream());
    clock.mark(1);
    device::delay(5e-3, gpu.stream());
    clock.mark(2);
    device::delay(3e-3, gpu.stream());
    clock.mark(1);
    std::vector<double> const seconds = clock.read();
    EXPECT_EQ(seconds[0], 0.0);
    EXPECT_NEAR(seconds[1], 5e-3, 0.5e-3);
    EXPECT_NEAR(seconds[2], 5e-3, 0.5e-3);

    device::delay(4e-3, gpu.stream());
    clock.mark(0);
    std::vector<double> const next = clock.read();
    EXPECT_GE(next[0], 4e-3);  // with what the host took to come back
    EXPECT_EQ(next[1] + next[2], 0.0);
}

TEST_F(StreamClockTest, MarksOfAGraphAreReachedByItsLaunches) {
    device::Gpu const gpu(0);
    StreamClock clock(gpu, 2);
    clock.mark(0);
    device::Graph const graph(gpu, [&] {
        device::delay(3e-3, gpu.stream());
        clock.mark(1);
        device::delay(1e-3, gpu.stream());
    });
    std::vector<StreamClock::Mark> const marks = clock.take_recorded();
    ASSERT_EQ(marks.size(), 1U);
    for (int launch = 0; launch < 3; ++launch) {
        clock.mark(0);
        static_cast<void>(clock.read());
        graph.launch();
        clock.launched(marks);
        clock.mark(0);
        std::vector<double> const seconds = clock.read();
        EXPECT_GE(seconds[1], 3e-3);
        EXPECT_NEAR(seconds[0], 1e-3, 0.5e-3);
    }
}

TEST_F(ModelledCudaTest, SumsTakeTwoHopsAndCountEveryRank) {
    device::Gpu const gpu(0);
    ModelledCommunicator group(1, 4, {1e-3, 1e9}, &gpu);
    for (std::size_t const count : {std::size_t{1000}, std::size_t{100'003}}) {
        std::vector<float> const mine = random_floats(count, 7);
        OnGpu<float> const on_gpu(gpu, mine);
        group.reserve_sum(static_cast<std::int64_t>(count));
        StreamClock clock(gpu, 1);
        clock.mark(0);
        group.all_reduce_sum(on_gpu.span(), gpu.stream());
        clock.mark(0);
        double const seconds = clock.read()[0];
        std::vector<float> const sum = on_gpu.values();
        bool const is_short = count == 1000;
        // Gathered whole, or a quarter exchanged with each of three ranks, and passed on.
        double const bytes = static_cast<double>(count) * 4.0;
        EXPECT_GE(seconds, is_short ? 1e-3 + 3 * bytes / 1e9 : 2e-3 + 1.4 * bytes / 1e9);
        for (std::size_t i = 0; i < count; i += 97) {
            // All bring the same quarter to the long one; it is this rank's, the second.
            std::size_t const quarter = (count + 3) / 4;
            std::size_t const from = is_short ? i : quarter + i % quarter;
            if (from < count) {
                EXPECT_FLOAT_EQ(sum[i], 4.0F * mine[from]) << i << " of " << count;
            }
        }
    }
}

TEST_F(ModelledCudaTest, OperationsGoIntoAGraph) {
    device::Gpu const gpu(0);
    ModelledCommunicator group(0, 2, {2e-3, 1e12}, &gpu);
    group.reserve_sum(5000);
    OnGpu<float> const values(gpu, std::vector<float>(5000, 1.5F));
    OnGpu<float> const received(gpu, 3000);
    group.recv(received.bytes(), 1, 1, gpu.stream());  // takes its memory
    device::Graph const graph(gpu, [&] {
        group.all_reduce_sum(values.span(), gpu.stream());
        group.recv(received.bytes(), 1, 1, gpu.stream());
    });
    StreamClock clock(gpu, 1);
    clock.mark(0);
    graph.launch();
    graph.launch();
    clock.mark(0);
    EXPECT_GE(clock.read()[0], 2 * (2e-3 + 2e-3));
    EXPECT_FLOAT_EQ(values.values()[4321], 6.0F);
    for (float const value : received.values()) {
        ASSERT_TRUE(std::isfinite(value));
    }
}

}  // namespace
}  // namespace longhaul::comm
