// Tests that fail on purpose; failing_job_test.py runs them one by one and checks the verdict of tests/support/mpi_main.cpp.

#include "support/loopback_or_mpi.hpp"

#include <stdexcept>

namespace longhaul::test_support {
namespace {

bool on_last_rank() { return mpi_world().rank() == mpi_world().size() - 1; }

TEST(Verdict, Good) { mpi_world().barrier(); }

TEST(Verdict, OneRankExpectsInVain) {
    EXPECT_FALSE(on_last_rank());
    mpi_world().barrier();
}

TEST(Verdict, OneRankAssertsInVain) {
    ASSERT_FALSE(on_last_rank());
    mpi_world().barrier();
}

TEST(Verdict, OneRankThrows) {
    if (on_last_rank()) {
        throw std::runtime_error("thrown on purpose");
    }
    mpi_world().barrier();
}

}  // namespace
}  // namespace longhaul::test_support
