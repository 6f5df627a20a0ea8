// The engine on a GPU: T2 against the CPU over grids that share the GPU, T1 on it, and checkpoints that cross from one
// backend to the other.

#include "device/gpu_info.hpp"
#include "ranks/engine/layout_cases.hpp"
#include "ranks/engine/stop_after.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace longhaul::test {
namespace {

class CudaEngine : public testing::Test {
  protected:
    void SetUp() override {
        if (device::list_gpus().empty()) {
            GTEST_SKIP() << "no GPU here";
        }
    }
};

LayoutChecker& checker() {
    static LayoutChecker instance;
    return instance;
}

EngineCase on_gpu(EngineCase which) {
    which.backend = kernels::Backend::cuda;
    return which;
}

class CudaLayouts : public CudaEngine, public testing::WithParamInterface<Grid> {};

TEST_P(CudaLayouts, AgreeWithOneRankOfTheCpu) {
    std::vector<EngineCase> cases = cases_of(GetParam(), 2);
    std::transform(cases.begin(), cases.end(), cases.begin(), on_gpu);
    expect_agreement(checker(), cases);
    EXPECT_LE(checker().total.near_ties, 4);
}

INSTANTIATE_TEST_SUITE_P(Grids, CudaLayouts,
                         testing::Values(Grid{1, 1, 1, 1}, Grid{1, 2, 1, 1}, Grid{1, 1, 2, 1},
                                         Grid{1, 1, 1, 3}, Grid{1, 2, 2, 2}, Grid{2, 1, 1, 1}),
                         [](testing::TestParamInfo<Grid> const& which) {
                             Grid const& grid = which.param;
                             return "replicas" + std::to_string(grid.replicas) + "spp" +
                                    std::to_string(grid.spp) + "kvp" + std::to_string(grid.kvp) +
                                    "tp" + std::to_string(grid.tp);
                         });

TEST_F(CudaEngine, Bf16StaysCloseToF32) {
    for (Grid const& grid : {Grid{1, 1, 1, 1}, Grid{1, 1, 2, 1}}) {
        expect_bf16_close_to_f32(checker(), on_gpu(cases_of(grid, 1)[2]));
    }
}

// Made on the GPU there and on the host here: the same model.
TEST_F(CudaEngine, RandomWeightsAreThoseOfTheCpu) {
    std::vector<JobLine> const jobs{score_job("score", random_tokens(1, 150)),
                                    generate_job("ids", random_tokens(2, 70), 6)};
    for (bool const tied : {true, false}) {
        TinyModelSpec spec;
        spec.tied = tied;
        EngineRunner runner(spec, 5);
        EngineResults const expected = runner.run_on_loopback(baseline_case(), jobs).results;
        for (Grid const& grid : {Grid{1, 1, 1, 1}, Grid{1, 2, 2, 2}}) {
            EngineCase const which = on_gpu(cases_of(grid, 1)[2]);
            Comparison const comparison =
                compare(jobs, expected, runner.run_on_loopback(which, jobs).results, 1e-3);
            EXPECT_TRUE(comparison.problems.empty())
                << which.name() << ": " << comparison.problems.front();
        }
    }
}

TEST_F(CudaEngine, DeterministicRunsGiveTheSameBitsInAnyCompany) {
    JobLine const subject =
        question_job("subject", random_text(5, 70), "What happens to the words?", 8);
    std::vector<JobLine> const company{
        score_job("score", random_tokens(1, 170)), subject,
        generate_job("short", random_tokens(2, 33), 12),
        sampled(generate_job("sampled", random_tokens(3, 100), 9), 0.8, 3)};
    for (DType const dtype : {DType::f32, DType::bf16}) {
        for (Grid const& grid : {Grid{1, 1, 1, 1}, Grid{1, 2, 2, 1}}) {
            EngineCase which = on_gpu(cases_of(grid, 1)[2]);
            which.dtype = dtype;
            which.max_batch = 4;
            which.deterministic = true;
            EngineResults const alone = checker().runner.run_on_loopback(which, {subject}).results;
            EngineResults const all = checker().runner.run_on_loopback(which, company).results;
            EXPECT_EQ(differences(alone, {{"subject", all.at("subject")}}), "") << which.name();
        }
    }
}

// Saved by one backend on one grid, gone on with by the other on another one.
TEST_F(CudaEngine, CheckpointsCrossFromOneBackendToTheOther) {
    std::vector<JobLine> const jobs = layout_jobs(true, false);
    EngineResults const expected = checker().runner.run_on_loopback(baseline_case(), jobs).results;
    for (bool const gpu_first : {true, false}) {
        for (int const steps : {3, 9}) {
            EngineCase cpu;
            cpu.chunk = 32;
            cpu.max_batch = 3;
            cpu.kvp = 2;
            cpu.checkpoint_tokens = 100;
            EngineCase gpu = on_gpu(cpu);
            gpu.kvp = 1;
            gpu.tp = 3;
            std::filesystem::path const queue = checker().runner.new_queue(jobs);
            EXPECT_EQ(checker()
                          .runner.go_on_on_loopback(gpu_first ? gpu : cpu, queue, stop_after(steps))
                          .exit_code,
                      kExitRequeue);
            EngineOutcome const outcome =
                checker().runner.go_on_on_loopback(gpu_first ? cpu : gpu, queue);
            EXPECT_EQ(outcome.exit_code, 0);
            Comparison const comparison = compare(jobs, expected, outcome.results, 1e-3);
            EXPECT_TRUE(comparison.problems.empty()) << comparison.problems.front();
        }
    }
}

// T1 across a stop: the same bits as without one.
TEST_F(CudaEngine, AStopInBetweenChangesNoBit) {
    std::vector<JobLine> const jobs = layout_jobs(true, false);
    EngineCase which = on_gpu(cases_of(Grid{1, 2, 1, 1}, 1)[2]);
    which.deterministic = true;
    which.checkpoint_tokens = 100;
    EngineResults const expected = checker().runner.run_on_loopback(which, jobs).results;
    std::filesystem::path const queue = checker().runner.new_queue(jobs);
    EXPECT_EQ(checker().runner.go_on_on_loopback(which, queue, stop_after(5)).exit_code,
              kExitRequeue);
    EngineOutcome const outcome = checker().runner.go_on_on_loopback(which, queue);
    EXPECT_EQ(differences(expected, outcome.results), "");
}

}  // namespace
}  // namespace longhaul::test
