// GoogleTest main for tests that run under mpirun. Rank 0 prints progress, the others print failures only; the verdict is
// the worst of all ranks, and a run without tests is a failure.

#include "comm/mpi_runtime.hpp"
#include "support/loopback_or_mpi.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>

namespace longhaul::test_support {
namespace {

comm::MpiRuntime* runtime = nullptr;

// Prints the failures of a rank that has no other printer.
class FailurePrinter final : public ::testing::EmptyTestEventListener {
  public:
    explicit FailurePrinter(int rank) : rank_(rank) {}

    void OnTestPartResult(::testing::TestPartResult const& result) override {
        if (result.failed()) {
            std::fprintf(stderr, "rank %d: %s:%d: %s\n", rank_,
                         result.file_name() != nullptr ? result.file_name() : "unknown file",
                         result.line_number(), result.message());
        }
    }

  private:
    int rank_;
};

// A fatal failure leaves the test body on this rank alone while its peers may wait for it: the whole job ends.
// Appended last, so that the failure has been printed.
class AbortOnFatalFailure final : public ::testing::EmptyTestEventListener {
    void OnTestPartResult(::testing::TestPartResult const& result) override {
        if (result.fatally_failed() && mpi_world().size() > 1) {
            std::fflush(nullptr);
            comm::MpiRuntime::abort(1);
        }
    }
};

void install_listeners(int rank) {
    auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
    if (rank != 0) {
        delete listeners.Release(listeners.default_result_printer());
        listeners.Append(new FailurePrinter(rank));
    }
    listeners.Append(new AbortOnFatalFailure);
}

int worst_of_all_ranks(int verdict) {
    std::array<std::int64_t, 1> worst{verdict};
    mpi_world().all_reduce(worst, comm::ReduceOp::max);
    return worst[0] == 0 ? 0 : 1;
}

}  // namespace

comm::Communicator& mpi_world() { return runtime->world(); }

}  // namespace longhaul::test_support

int main(int argc, char** argv) {
    ::testing::InitGoogleTest(&argc, argv);
    // Lowered, so that ordinary tests also reach the path of messages beyond 2^31 bytes.
    longhaul::comm::MpiRuntime mpi({.largest_plain_message = 100'000});
    longhaul::test_support::runtime = &mpi;
    longhaul::test_support::install_listeners(mpi.world().rank());
    int verdict = RUN_ALL_TESTS();
    if (::testing::UnitTest::GetInstance()->test_to_run_count() == 0) {
        std::fprintf(stderr, "no test was selected\n");
        verdict = 1;
    }
    verdict = longhaul::test_support::worst_of_all_ranks(verdict);
    mpi.finish();
    return verdict;
}
