#pragma once

// One test body for both transports. LH_RANK_TEST(Suite, Name) { ... world ... } is compiled twice:
// with LH_TEST_LOOPBACK it runs at 1, 2, 3, 4 and 8 ranks as threads, without it on the ranks that mpirun started.

#include "comm/communicator.hpp"
#include "comm/loopback.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>

namespace longhaul::test_support {

using RankBody = std::function<void(comm::Communicator& world)>;

/// Runs the body on `ranks` loopback ranks. A fatal failure ends the test on all of them.
inline void run_on_loopback(int ranks, RankBody const& body) {
    comm::run_loopback(ranks, [&](comm::Communicator& world) {
        SCOPED_TRACE("rank " + std::to_string(world.rank()) + " of " + std::to_string(ranks) +
                     " over loopback");
        body(world);
        // A failed ASSERT returns early; the peers that still wait for this rank are released by an exception.
        if (::testing::Test::HasFatalFailure()) {
            throw std::runtime_error("a fatal test failure ended the test");
        }
    });
}

#ifdef LH_TEST_LOOPBACK

inline void run_on_ranks(RankBody const& body) {
    for (int const ranks : {1, 2, 3, 4, 8}) {
        run_on_loopback(ranks, body);
    }
}

#else

/// World of the process; tests/support/mpi_main.cpp owns it.
[[nodiscard]] comm::Communicator& mpi_world();

inline void run_on_ranks(RankBody const& body) { body(mpi_world()); }

#endif

}  // namespace longhaul::test_support

#define LH_RANK_TEST(suite, name)                                                           \
    static void lh_body_##suite##_##name(::longhaul::comm::Communicator& world);            \
    TEST(suite, name) { ::longhaul::test_support::run_on_ranks(lh_body_##suite##_##name); } \
    static void lh_body_##suite##_##name([[maybe_unused]] ::longhaul::comm::Communicator& world)
