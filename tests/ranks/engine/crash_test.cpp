// A run that is killed outright costs at most what was computed since its newest complete epoch, counted entry by entry.

#include "io/checkpoint_names.hpp"
#include "io/manifest.hpp"
#include "support/engine/compare_results.hpp"
#include "support/engine/engine_case.hpp"
#include "support/engine/engine_runner.hpp"
#include "support/engine/job_lines.hpp"

#include <gtest/gtest.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <map>
#include <new>
#include <random>
#include <sstream>
#include <thread>

namespace longhaul::test {
namespace {

namespace fs = std::filesystem;

EngineCase on_grid(std::int64_t spp, std::int64_t kvp, std::int64_t tp) {
    EngineCase which;
    which.spp = spp;
    which.kvp = kvp;
    which.tp = tp;
    which.chunk = 32;
    which.max_batch = 3;
    which.checkpoint_tokens = 100;
    return which;
}

/// Rows per step with rows, written by a process that is about to be killed.
struct Record {
    struct Step {
        StepIndex step = 0;
        std::int64_t rows = 0;
    };
    std::atomic<int> num_steps = 0;
    std::array<Step, 4096> steps;

    [[nodiscard]] std::int64_t rows_after(StepIndex epoch) const {
        std::int64_t rows = 0;
        for (int i = 0; i < num_steps; ++i) {
            auto const& step = steps[static_cast<std::size_t>(i)];
            rows += step.step > epoch ? step.rows : 0;
        }
        return rows;
    }
};

class SharedRecord {
  public:
    SharedRecord()
        : memory_(::mmap(nullptr, sizeof(Record), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0)),
          record_(new (memory_) Record) {}
    SharedRecord(SharedRecord const&) = delete;
    SharedRecord& operator=(SharedRecord const&) = delete;
    ~SharedRecord() { ::munmap(memory_, sizeof(Record)); }
    Record& operator*() { return *record_; }
    Record* operator->() { return record_; }

  private:
    void* memory_;
    Record* record_;
};

/// What is on the disk: entries that need not be computed any more.
struct Saved {
    std::int64_t entries = 0;
    io::EpochId newest;
};

class Crash : public testing::Test {
  protected:
    static constexpr int kNever = -1;
    static constexpr int kQueues = 12;

    [[nodiscard]] std::int64_t length(std::string const& id) const {
        for (JobLine const& job : jobs_) {
            if (job.id == id) {
                return static_cast<std::int64_t>(job.tokens.size()) +
                       std::max<std::int64_t>(0, job.max_tokens - 1);
            }
        }
        throw std::runtime_error("no job " + id);
    }

    [[nodiscard]] Saved look() const {
        Saved saved;
        std::map<std::string, std::pair<io::EpochId, std::int64_t>> positions;
        fs::path const checkpoint = output() / "checkpoint";
        std::error_code none_yet;
        for (auto const& entry : fs::directory_iterator(checkpoint, none_yet)) {
            auto const id = io::parse_manifest_name(entry.path().filename().string());
            if (!id) {
                continue;
            }
            saved.newest = std::max(saved.newest, *id);
            std::ifstream file(entry.path(), std::ios::binary);
            std::ostringstream text;
            text << file.rdbuf();
            for (io::SavedSequence const& sequence : io::parse_manifest(text.str()).sequences) {
                auto& best = positions[sequence.job_id];
                best = std::max(best, {*id, sequence.position});
            }
        }
        if (fs::exists(output() / "results.jsonl")) {
            for (auto const& [id, result] : parse_results(output() / "results.jsonl")) {
                positions[id].second = length(id);
            }
        }
        for (auto const& [id, position] : positions) {
            saved.entries += position.second;
        }
        return saved;
    }

    /// A run in a process of its own, which kills itself at a step of a rank or is killed after a time.
    /// Returns     its exit code, or minus the signal that ended it
    [[nodiscard]] int run(EngineCase const& which, Record& record, int kill_rank, int kill_step,
                          std::chrono::microseconds limit) {
        record.num_steps = 0;
        pid_t const child = ::fork();
        if (child == 0) {
            ObserverOfRank const observer = [&](int rank) {
                engine::RunObserver seen;
                seen.step_begun = [&record, rank, kill_rank, kill_step,
                                   begun = 0](schedule::StepPlan const& plan) mutable {
                    if (rank == 0) {
                        int const number = record.num_steps;
                        record.steps[static_cast<std::size_t>(number)] = {plan.step,
                                                                          plan.num_rows()};
                        record.num_steps = number + 1;
                    }
                    if (rank == kill_rank && ++begun == kill_step) {
                        ::raise(SIGKILL);
                    }
                };
                return seen;
            };
            ::_exit(runner_.go_on_on_loopback(which, queue_, observer).exit_code);
        }
        int status = 0;
        if (kill_step == kNever && limit.count() > 0) {
            std::this_thread::sleep_for(limit);
            ::kill(child, SIGKILL);
        }
        ::waitpid(child, &status, 0);
        return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    }

    [[nodiscard]] fs::path output() const { return queue_.string() + ".out"; }

    EngineRunner runner_;
    std::vector<JobLine> jobs_{generate_job("long", random_tokens(2, 420), 20),
                               score_job("score", random_tokens(1, 300)),
                               sampled(generate_job("sampled", random_tokens(3, 100), 40), 0.8, 3),
                               generate_job("short", random_tokens(4, 3), 70),
                               generate_job("other", random_tokens(5, 200), 30)};
    fs::path queue_ = runner_.new_queue(jobs_);
};

TEST_F(Crash, CostsAtMostWhatTheNewestEpochDoesNotHave) {
    std::vector<EngineCase> const grids{on_grid(1, 1, 1), on_grid(2, 1, 1), on_grid(1, 2, 1),
                                        on_grid(1, 1, 2), on_grid(2, 2, 1)};
    SharedRecord record;
    auto const begin = std::chrono::steady_clock::now();
    ASSERT_EQ(run(grids[0], *record, kNever, kNever, {}), 0);
    auto const whole_run = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - begin);
    EngineResults const expected = parse_results(output() / "results.jsonl");
    std::int64_t const all = record->rows_after(-1);
    // Other kills with --gtest_random_seed.
    std::mt19937_64 random(
        static_cast<std::uint64_t>(testing::UnitTest::GetInstance()->random_seed()));
    int kills = 0;
    std::int64_t computed_again = 0;
    std::int64_t worst = 0;
    for (int queues = 0; queues < kQueues; ++queues) {
        fs::remove_all(output());
        Saved before;
        for (int code = -SIGKILL; code != 0;) {
            EngineCase const& which = grids[random() % grids.size()];
            bool const by_step = random() % 2 == 0;
            auto const rank = static_cast<int>(random() % static_cast<unsigned>(which.ranks()));
            int const step = by_step ? static_cast<int>(1 + random() % 25) : kNever;
            code =
                run(which, *record, rank, step, whole_run * static_cast<int>(random() % 100) / 80);
            ASSERT_TRUE(code == 0 || code == -SIGKILL) << code;
            std::int64_t const rows = record->rows_after(-1);
            if (code == 0) {
                EXPECT_EQ(rows, all - before.entries) << "a resume begins where it was saved";
                break;
            }
            ++kills;
            Saved const after = look();
            std::int64_t const lost = rows - (after.entries - before.entries);
            bool const epoch = after.newest.run > before.newest.run;
            EXPECT_GE(lost, 0) << "a manifest promises what was not computed";
            EXPECT_LE(lost, record->rows_after(epoch ? after.newest.epoch : -1));
            computed_again += lost;
            worst = std::max(worst, lost);
            before = after;
        }
        Comparison const comparison =
            compare(jobs_, expected, parse_results(output() / "results.jsonl"), 1e-3);
        EXPECT_TRUE(comparison.problems.empty()) << comparison.problems.front();
    }
    std::printf("%d kills; of %d x %d entries %d were computed again, at most %d after a kill\n",
                kills, kQueues, static_cast<int>(all), static_cast<int>(computed_again),
                static_cast<int>(worst));
    EXPECT_GE(kills, kQueues);
}

}  // namespace
}  // namespace longhaul::test
