// A run that is stopped goes on where it was saved, on the same grid to the last bit, on any other one within tolerance.

#include "ranks/engine/stop_after.hpp"
#include "support/engine/compare_results.hpp"
#include "support/engine/engine_case.hpp"
#include "support/engine/engine_runner.hpp"
#include "support/engine/job_lines.hpp"
#include "support/sanitizers.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace longhaul::test {
namespace {

EngineCase on_grid(std::int64_t replicas, std::int64_t spp, std::int64_t kvp, std::int64_t tp,
                   std::int64_t chunk = 32) {
    EngineCase which;
    which.replicas = replicas;
    which.spp = spp;
    which.kvp = kvp;
    which.tp = tp;
    which.chunk = chunk;
    which.max_batch = 3;
    which.checkpoint_tokens = 150;
    return which;
}

std::vector<JobLine> various_jobs() {
    std::string const text = random_text(5, 70);
    return {question_job("first", text, "What happens to the words?", 12),
            score_job("score", random_tokens(1, 300)),
            question_job("second", text, "Why?", 30),
            sampled(generate_job("sampled", random_tokens(3, 100), 40), 0.8, 3),
            generate_job("long", random_tokens(2, 420), 20),
            generate_job("short", random_tokens(4, 3), 70),
            score_job("late", random_tokens(6, 150))};
}

bool has_checkpoint(std::filesystem::path const& queue) {
    return std::filesystem::exists(queue.string() + ".out/checkpoint");
}

/// Runs the queue on one grid after the other, each stopped early, the last one to its end.
EngineResults run_in_pieces(EngineRunner& runner, std::vector<JobLine> const& jobs,
                            std::vector<EngineCase> const& grids, int steps, int& stops) {
    std::filesystem::path const queue = runner.new_queue(jobs);
    for (std::size_t i = 0; i + 1 < grids.size(); ++i) {
        EngineOutcome const outcome = runner.go_on_on_loopback(grids[i], queue, stop_after(steps));
        if (outcome.exit_code == kExitRequeue) {
            ++stops;
            EXPECT_TRUE(has_checkpoint(queue));
        } else {
            EXPECT_EQ(outcome.exit_code, 0);
        }
    }
    EngineOutcome outcome = runner.go_on_on_loopback(grids.back(), queue);
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_FALSE(has_checkpoint(queue)) << "nothing is left of a complete run";
    return outcome.results;
}

TEST(Resume, TheSameBitsOnTheSameGrid) {
    EngineRunner runner;
    std::vector<JobLine> const jobs = various_jobs();
    for (EngineCase which : {on_grid(1, 1, 1, 1), on_grid(1, 3, 1, 1), on_grid(1, 1, 2, 1, 64),
                             on_grid(1, 2, 1, 2, 7), on_grid(2, 1, 1, 1)}) {
        which.deterministic = true;
        EngineResults const expected = runner.run_on_loopback(which, jobs).results;
        for (int const steps : kSanitized ? std::vector<int>{9} : std::vector<int>{2, 9, 25}) {
            int stops = 0;
            EngineResults const results =
                run_in_pieces(runner, jobs, std::vector<EngineCase>(5, which), steps, stops);
            EXPECT_EQ(differences(expected, results), "")
                << which.name() << ", stopped after " << steps << " steps";
            EXPECT_GE(stops, 1) << which.name();
        }
    }
}

TEST(Resume, TheSameResultsOnOtherGrids) {
    EngineRunner runner;
    std::vector<JobLine> const jobs = various_jobs();
    EngineResults const expected = runner.run_on_loopback(baseline_case(), jobs).results;
    std::vector<std::vector<EngineCase>> const journeys{
        {on_grid(1, 1, 1, 1), on_grid(1, 3, 1, 1), on_grid(1, 1, 3, 1), on_grid(1, 1, 1, 3)},
        {on_grid(1, 1, 2, 2, 7), on_grid(2, 2, 1, 1, 64), on_grid(1, 1, 4, 1)},
        {on_grid(2, 1, 1, 1), on_grid(4, 1, 1, 1), on_grid(1, 1, 1, 1)},
        {on_grid(1, 2, 2, 2), on_grid(1, 1, 1, 1), on_grid(1, 4, 1, 1), on_grid(1, 1, 3, 2)}};
    for (std::vector<EngineCase> const& grids : journeys) {
        for (int const steps : kSanitized ? std::vector<int>{6} : std::vector<int>{6, 17}) {
            int stops = 0;
            EngineResults const results = run_in_pieces(runner, jobs, grids, steps, stops);
            Comparison const comparison = compare(jobs, expected, results, 1e-3);
            EXPECT_TRUE(comparison.problems.empty())
                << grids.front().name() << ", " << steps << ": " << comparison.problems.front();
            EXPECT_GE(stops, 1);
        }
    }
}

// What was computed is not computed again: all runs together do hardly more rows than one alone.
TEST(Resume, ComputesNothingTwice) {
    EngineRunner runner;
    std::vector<JobLine> const jobs{generate_job("long", random_tokens(2, 420), 20)};
    std::filesystem::path const queue = runner.new_queue(jobs);
    std::int64_t rows = 0;
    int code = kExitRequeue;
    for (int runs = 0; code == kExitRequeue && runs < 20; ++runs) {
        EngineCase const which = runs % 2 == 0 ? on_grid(1, 1, 2, 1) : on_grid(1, 2, 1, 1);
        ObserverOfRank const stopper = stop_after(6);
        code = runner
                   .go_on_on_loopback(which, queue,
                                      [&](int rank) {
                                          engine::RunObserver observer = stopper(rank);
                                          if (rank == 0) {
                                              auto inner = observer.step_begun;
                                              observer.step_begun =
                                                  [&rows, inner](schedule::StepPlan const& plan) {
                                                      rows += plan.num_rows();
                                                      inner(plan);
                                                  };
                                          }
                                          return observer;
                                      })
                   .exit_code;
    }
    EXPECT_EQ(code, 0);
    EXPECT_EQ(rows, 420 + 19);
}

}  // namespace
}  // namespace longhaul::test
