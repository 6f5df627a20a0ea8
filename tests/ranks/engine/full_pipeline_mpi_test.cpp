// A pipeline that is really full, over MPI with three ranks: the stages tell each other by messages of their own.

#include "ranks/engine/full_pipeline.hpp"
#include "support/engine/engine_case.hpp"
#include "support/engine/engine_runner.hpp"
#include "support/engine/job_lines.hpp"
#include "support/loopback_or_mpi.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <memory>
#include <span>
#include <thread>
#include <vector>

namespace longhaul::test {
namespace {

constexpr std::chrono::seconds kLimit(20);
constexpr int kTag = 7;

void hold_stage_2(std::vector<JobLine> const& jobs, StepIndex held) {
    comm::Communicator& world = test_support::mpi_world();
    ASSERT_EQ(world.size(), 3);
    std::unique_ptr<comm::Communicator> const aside = world.duplicate();
    std::array<std::byte, 1> const word{};
    comm::Request sent;
    bool in_time = world.rank() != 2;
    PipelineHold const hold{held, [&] { sent = aside->isend(word, 2, kTag); },
                            [&] {
                                auto const end = std::chrono::steady_clock::now() + kLimit;
                                while (!in_time && std::chrono::steady_clock::now() < end) {
                                    in_time = aside->try_receive(0, kTag).has_value();
                                    std::this_thread::sleep_for(std::chrono::milliseconds(1));
                                }
                            }};
    EngineCase which;
    which.spp = 3;
    which.chunk = 16;
    which.max_batch = 5;
    EngineRunner runner;
    EngineOutcome const outcome = runner.run(world, which, jobs, [&](int rank) {
        engine::RunObserver observer;
        if (rank == 0) {
            observer.step_begun = [&hold](schedule::StepPlan const& plan) { hold.stage_0(plan); };
        } else if (rank == 2) {
            observer.step_begun = [&hold](schedule::StepPlan const& plan) { hold.stage_2(plan); };
        }
        return observer;
    });
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_TRUE(in_time) << "stage 0 never began step " << held + 2 << " while stage 2 was in step "
                         << held;
    // Too late a word still has to be taken, or the communicator cannot be closed.
    if (world.rank() == 2 && !in_time) {
        static_cast<void>(aside->receive(0, kTag));
    }
    if (sent.active()) {
        sent.wait();
    }
    aside->close();
}

TEST(FullPipelineOverMpi, OneLongDocument) {
    hold_stage_2({score_job("long", random_tokens(1, 400))}, 12);
}

TEST(FullPipelineOverMpi, TwoDecodingJobsBesideALongPrefill) {
    hold_stage_2(
        {generate_job("a", random_tokens(2, 10), 30), generate_job("b", random_tokens(3, 14), 30),
         score_job("long", random_tokens(1, 400))},
        14);
}

// The job fails in its first chunk while others are in flight: their outcomes, too long for MPI to buffer, are still taken.
TEST(FullPipelineOverMpi, AFailedJobLeavesLongOutcomesInFlight) {
    constexpr TokenId kPoison = 77;
    TinyModelSpec model;
    model.tied = false;
    model.nan_token = kPoison;
    std::vector<TokenId> tokens = random_tokens(1, 9000);
    tokens[10] = kPoison;
    EngineCase which;
    which.spp = 3;
    which.chunk = 2048;
    which.kv_bytes = std::int64_t{64} << 20;
    EngineRunner runner(model);
    EngineOutcome const outcome =
        runner.run(test_support::mpi_world(), which, {score_job("poisoned", tokens)});
    EXPECT_EQ(outcome.exit_code, 1);
    if (test_support::mpi_world().rank() == 0) {
        EXPECT_EQ(outcome.results.at("poisoned").error_code, "non_finite");
    }
}

}  // namespace
}  // namespace longhaul::test
