// What ranks with GPUs do beside the GPU: choosing the transport, and sums in rank order (here in host memory).
#include "comm/gpu_transport.hpp"
#include "comm/ordered_sum.hpp"
#include "ranks/comm/test_data.hpp"
#include "support/loopback_or_mpi.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <iterator>
#include <limits>

namespace longhaul::comm {
namespace {

using ::testing::HasSubstr;

device::GpuInfo gpu_number(int number) {
    device::GpuInfo gpu;
    gpu.uuid.back() = static_cast<std::uint8_t>(number);
    return gpu;
}

LH_RANK_TEST(GpuTransport, NcclWhereEveryRankHasItsOwnGpu) {
    auto const choice = choose_gpu_transport(world, gpu_number(world.rank()), "");
    EXPECT_EQ(choice.transport == GpuTransport::nccl, world.size() > 1);
    EXPECT_EQ(choice.ranks_on_gpu, 1);
}

LH_RANK_TEST(GpuTransport, PinnedMemoryWhereTwoRanksShareOne) {
    // Ranks 0 and 1 share; the others do not, and stage all the same.
    auto const choice = choose_gpu_transport(world, gpu_number(std::max(world.rank(), 1)), "");
    EXPECT_EQ(choice.transport, GpuTransport::host_staged);
    EXPECT_EQ(choice.ranks_on_gpu, world.rank() <= 1 && world.size() > 1 ? 2 : 1);
    EXPECT_THAT(choice.reason, HasSubstr(world.size() > 1 ? "2 ranks share" : "one rank"));
}

LH_RANK_TEST(GpuTransport, PinnedMemoryWhereOneHostLacksTheLibrary) {
    int const last = world.size() - 1;
    auto const choice = choose_gpu_transport(world, gpu_number(world.rank()),
                                             world.rank() == last ? "no libnccl" : "");
    EXPECT_EQ(choice.transport, GpuTransport::host_staged);
    if (world.size() > 1) {
        EXPECT_THAT(choice.reason, HasSubstr("rank " + std::to_string(last) + " has no NCCL"));
        EXPECT_EQ(choice.reason.ends_with("no libnccl"), world.rank() == last);
    }
}

LH_RANK_TEST(OrderedSum, HasTheBitsOfTheSerialSumInRankOrder) {
    // Around the change of algorithm (16384 floats), even and uneven cuts, pieces that are empty at the end.
    for (std::size_t const count : {0, 1, 3, 100, 16383, 16384, 16385, 16392, 30001, 40320}) {
        auto values = random_floats(count, world.rank());
        auto expected = values;
        world.all_reduce_sum(expected);
        std::vector<float> scratch(static_cast<std::size_t>(detail::ordered_sum_scratch(
                                       static_cast<std::int64_t>(count), world.size())),
                                   std::numeric_limits<float>::quiet_NaN());

        detail::ordered_sum(world, values, scratch, {});

        EXPECT_EQ(bits_of(values), bits_of(expected)) << count << " elements, seed " << kSeed;
    }
}

// What is reserved must do for all shorter sums: recorded graphs hold its address.
TEST(OrderedSum, RoomForTheLongestIsRoomForAll) {
    for (int const ranks : {1, 2, 3, 7, 64}) {
        for (std::int64_t const longest : {0, 1, 16384, 16385, 30000, 98304}) {
            std::int64_t const room = detail::ordered_sum_scratch_up_to(longest, ranks);
            std::int64_t most = 0;
            for (std::int64_t count = 0; count <= longest; ++count) {
                most = std::max(most, detail::ordered_sum_scratch(count, ranks));
            }
            EXPECT_GE(room, most) << longest << " elements, " << ranks << " ranks";
            EXPECT_LE(room, std::max<std::int64_t>(2 * (longest + ranks), 16384 * ranks));
        }
    }
}

}  // namespace
}  // namespace longhaul::comm
