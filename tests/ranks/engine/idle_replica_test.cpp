// A queue that comes slowly: a replica that has run dry holds its step loop, its results are written all the same, and it
// goes on when a job for it appears. A short queue is spread over the replicas.

#include "ranks/engine/signal.hpp"
#include "support/engine/compare_results.hpp"
#include "support/engine/engine_case.hpp"
#include "support/engine/engine_runner.hpp"
#include "support/engine/job_lines.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace longhaul::test {
namespace {

constexpr std::chrono::seconds kLimit(20);

[[nodiscard]] bool wait_until(std::function<bool()> const& condition) {
    auto const limit = std::chrono::steady_clock::now() + kLimit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > limit) {
            return false;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
}

bool file_holds(std::filesystem::path const& file, std::string const& text) {
    std::ifstream stream(file);
    std::string const content{std::istreambuf_iterator<char>(stream), {}};
    return content.find(text) != std::string::npos;
}

// The replica with the long job is held inside a step until the other one, idle since its only job ended, has begun a job
// that came later.
TEST(IdleReplica, GetsANewJobWhileTheOtherWorks) {
    EngineRunner runner;
    EngineCase which;
    which.replicas = 2;
    which.spp = 2;
    which.chunk = 16;
    JobLine const long_job = score_job("long", random_tokens(1, 200));
    JobLine const short_job = generate_job("short", random_tokens(2, 12), 3);
    JobLine const late_job = generate_job("late", short_job.tokens, 5);  // same document
    std::vector<JobLine> const jobs{long_job, short_job, late_job};
    EngineResults const expected = runner.run_on_loopback(baseline_case(), jobs).results;

    std::filesystem::path const pipe = runner.folder() / "queue.pipe";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    Signal late_begun;
    bool result_in_time = false;
    bool begun_in_time = false;
    std::thread writer([&] {
        std::ofstream out(pipe);
        out << queue_text({long_job, short_job}) << std::flush;
        result_in_time = wait_until(
            [&] { return file_holds(pipe.string() + ".out/results.jsonl", "\"short\""); });
        out << queue_text({late_job});
    });
    EngineOutcome const outcome = runner.run_queue_on_loopback(which, pipe, [&](int rank) {
        engine::RunObserver observer;
        observer.step_begun = [&, rank, held = false](schedule::StepPlan const& plan) mutable {
            schedule::PlanItem const& item = plan.items.front();
            if (!item.score && item.sequence == 1) {  // the second job of this replica
                late_begun.set();
            } else if (item.score && item.begin == 96 && rank % 2 == 0 && !held) {
                held = true;
                begun_in_time = late_begun.wait();
            }
        };
        return observer;
    });
    writer.join();

    EXPECT_TRUE(result_in_time) << "a result waited for the next line of the queue";
    EXPECT_TRUE(begun_in_time) << "the idle replica did not begin the new job";
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_TRUE(compare(jobs, expected, outcome.results, 1e-3).problems.empty());
}

// A replica pulls for a whole batch at once, but must not empty a short queue before the others have pulled.
TEST(IdleReplica, HasAShareOfAShortQueue) {
    EngineRunner runner;
    EngineCase which;
    which.replicas = 3;
    which.max_batch = 5;
    std::vector<JobLine> jobs;
    for (std::uint64_t i = 0; i < 6; ++i) {
        jobs.push_back(score_job("job" + std::to_string(i), random_tokens(i, 60)));
    }
    std::vector<std::set<SequenceId>> sequences(3);
    EngineOutcome const outcome = runner.run_on_loopback(which, jobs, [&](int rank) {
        engine::RunObserver observer;
        observer.step_begun =
            [&mine = sequences[static_cast<std::size_t>(rank)]](schedule::StepPlan const& plan) {
                for (schedule::PlanItem const& item : plan.items) {
                    mine.insert(item.sequence);
                }
            };
        return observer;
    });
    EXPECT_EQ(outcome.results.size(), 6U);
    for (std::set<SequenceId> const& mine : sequences) {
        EXPECT_GE(mine.size(), 1U);
    }
}

}  // namespace
}  // namespace longhaul::test
