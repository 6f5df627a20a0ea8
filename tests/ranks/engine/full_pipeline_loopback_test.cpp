// A pipeline that is really full, over loopback: stage 2 works on step k while stage 0 is at step k + 2.

#include "ranks/engine/full_pipeline.hpp"
#include "ranks/engine/signal.hpp"
#include "support/engine/compare_results.hpp"
#include "support/engine/engine_case.hpp"
#include "support/engine/engine_runner.hpp"
#include "support/engine/job_lines.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <thread>
#include <vector>

namespace longhaul::test {
namespace {

EngineCase three_stages() {
    EngineCase which;
    which.spp = 3;
    which.chunk = 16;
    which.max_batch = 5;
    return which;
}

/// Runs the jobs with stage 2 held inside step `held`; returns whether stage 0 came to step held + 2 in time.
bool reaches_two_steps_ahead(EngineRunner& runner, std::vector<JobLine> const& jobs, StepIndex held,
                             EngineResults& results) {
    Signal signal;
    std::atomic<bool> held_once{false};
    std::atomic<bool> in_time{false};
    PipelineHold const hold{held, [&] { signal.set(); },
                            [&] {
                                held_once = true;
                                in_time = signal.wait();
                            }};
    EngineOutcome const outcome = runner.run_on_loopback(three_stages(), jobs, [&](int rank) {
        engine::RunObserver observer;
        if (rank == 0) {
            observer.step_begun = [&hold](schedule::StepPlan const& plan) { hold.stage_0(plan); };
        } else if (rank == 2) {
            observer.step_begun = [&hold](schedule::StepPlan const& plan) { hold.stage_2(plan); };
        }
        return observer;
    });
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_TRUE(held_once) << "no step " << held << " with rows";
    results = outcome.results;
    return in_time;
}

TEST(FullPipeline, OneLongDocument) {
    EngineRunner runner;
    EngineResults results;
    EXPECT_TRUE(
        reaches_two_steps_ahead(runner, {score_job("long", random_tokens(1, 400))}, 12, results));
    EXPECT_EQ(results.at("long").scores.size(), 399U);
}

TEST(FullPipeline, TwoDecodingJobsBesideALongPrefill) {
    std::vector<JobLine> const jobs{generate_job("a", random_tokens(2, 10), 30),
                                    generate_job("b", random_tokens(3, 14), 30),
                                    score_job("long", random_tokens(1, 400))};
    EngineRunner runner;
    EngineResults const expected = runner.run_on_loopback(baseline_case(), jobs).results;
    EngineResults results;
    EXPECT_TRUE(reaches_two_steps_ahead(runner, jobs, 14, results));
    EXPECT_TRUE(compare(jobs, expected, results, 1e-3).problems.empty());
}

// The end of a generation meets the pipeline in every phase (its step modulo the stages) beside a long prefill.
TEST(FullPipeline, AnEndInEveryStagePosition) {
    EngineRunner runner;
    for (std::int64_t length = 1; length <= 6; ++length) {
        std::vector<JobLine> const jobs{
            generate_job("ends", random_tokens(2, 10 + length % 3 * 16), length),
            score_job("long", random_tokens(1, 200)),
            generate_job("after", random_tokens(4, 21), 4)};
        EngineResults const expected = runner.run_on_loopback(baseline_case(), jobs).results;
        EngineCase which = three_stages();
        which.max_batch = 2;  // "after" is admitted when "ends" has ended
        EngineOutcome const outcome = runner.run_on_loopback(which, jobs);
        Comparison const comparison = compare(jobs, expected, outcome.results, 1e-3);
        EXPECT_TRUE(comparison.problems.empty())
            << "length " << length << ": " << comparison.problems.front();
    }
}

// A replica that has run dry holds its step loop and goes on when a job for it appears.
TEST(FullPipeline, AReplicaRunsDryAndGetsANewJob) {
    EngineRunner runner;
    EngineCase which;
    which.replicas = 2;
    which.spp = 2;
    which.chunk = 16;
    JobLine const long_job = score_job("long", random_tokens(1, 900));
    JobLine const short_job = generate_job("short", random_tokens(2, 12), 2);
    JobLine const late_job = generate_job("late", random_tokens(3, 40), 5);
    std::vector<JobLine> const jobs{long_job, short_job, late_job};
    EngineResults const expected = runner.run_on_loopback(baseline_case(), jobs).results;

    std::filesystem::path const pipe = runner.folder() / "queue.jsonl";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    std::thread writer([&] {
        std::ofstream out(pipe);
        out << queue_text({long_job, short_job}) << std::flush;
        std::this_thread::sleep_for(std::chrono::milliseconds(700));
        out << queue_text({late_job});
    });
    EngineOutcome const outcome = runner.run_queue_on_loopback(which, pipe);
    writer.join();

    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_TRUE(compare(jobs, expected, outcome.results, 1e-3).problems.empty());
}

}  // namespace
}  // namespace longhaul::test
