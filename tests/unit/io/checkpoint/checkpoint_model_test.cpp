#include "unit/io/checkpoint/checkpoint_world.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace longhaul::io {
namespace {

/// Number of random worlds: LONGHAUL_WORLDS for a long run.
std::uint64_t num_worlds() {
    char const* const wanted = std::getenv("LONGHAUL_WORLDS");
    return wanted == nullptr ? 60 : std::strtoull(wanted, nullptr, 10);
}

// Random histories of runs on changing numbers of replicas, each ended by a crash between two file operations or by a
// stop, with every promise of the folder checked after each event.
TEST(CheckpointModel, NothingIsLostWhereverItStops) {
    for (std::uint64_t seed = 0; seed < num_worlds(); ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        CheckpointWorld world(seed);
        for (int run = 0; run < 8; ++run) world.live_through_a_run();
        world.complete();
        if (testing::Test::HasFailure()) return;
    }
}

}  // namespace
}  // namespace longhaul::io
