// A subset of the layouts over MPI: every grid with as many ranks as were started, many cases in one mpirun.

#include "ranks/engine/layout_cases.hpp"
#include "support/loopback_or_mpi.hpp"

#include <gtest/gtest.h>

namespace longhaul::test {
namespace {

TEST(LayoutsOverMpi, AgreeWithOneRank) {
    comm::Communicator& world = test_support::mpi_world();
    LayoutChecker checker;
    int cases = 0;
    for (Grid const& grid : kGrids) {
        if (grid.replicas * grid.spp * grid.kvp * grid.tp != world.size()) {
            continue;
        }
        for (EngineCase const& which : cases_of(grid, 1)) {
            EngineOutcome const outcome = checker.runner.run(world, which, checker.jobs(which));
            EXPECT_EQ(outcome.exit_code, 0);
            ++cases;
            if (world.rank() == 0) {
                for (std::string const& problem : checker.check(which, outcome)) {
                    ADD_FAILURE() << which.name() << ": " << problem;
                }
            }
        }
    }
    EXPECT_GE(cases, 4);
}

}  // namespace
}  // namespace longhaul::test
