// A damaged checkpoint is refused by name, or costs time, but never leads to another answer.

#include "base/error.hpp"
#include "io/manifest.hpp"
#include "ranks/engine/checkpoint_damage.hpp"
#include "support/engine/compare_results.hpp"
#include "support/engine/engine_case.hpp"
#include "support/engine/engine_runner.hpp"
#include "support/engine/job_lines.hpp"
#include "support/sanitizers.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <random>
#include <sstream>
#include <thread>
#include <vector>

namespace longhaul::test {
namespace {

namespace fs = std::filesystem;

constexpr int kExitRequeue = 75;
#if defined(__SANITIZE_THREAD__)  // it looks for races, which no damage makes
constexpr int kMutations = 10;
#else
constexpr int kMutations = kSanitized ? 30 : 200;
#endif

EngineCase on_grid(std::int64_t replicas, std::int64_t spp, std::int64_t kvp, std::int64_t tp) {
    EngineCase which;
    which.replicas = replicas;
    which.spp = spp;
    which.kvp = kvp;
    which.tp = tp;
    which.chunk = 32;
    which.max_batch = 3;
    which.checkpoint_tokens = 120;
    return which;
}

/// The same ids and kinds, other words for another `version`.
std::vector<JobLine> make_jobs(std::uint64_t version) {
    std::string const text = random_text(10 * version + 1, 60);
    return {question_job("first", text, "What happens to the words?", 20),
            score_job("score", random_tokens(10 * version + 2, 200)),
            question_job("second", text, "Why?", 25),
            sampled(generate_job("sampled", random_tokens(10 * version + 3, 100), 20), 0.8, 3)};
}

std::string read(fs::path const& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

/// Counts the rows of all replicas, and asks for a stop after `steps` steps of the first one (0: never).
struct Watch {
    int steps = 0;
    std::atomic<bool> stop = false;
    std::atomic<std::int64_t> rows = 0;

    [[nodiscard]] ObserverOfRank observer(EngineCase const& which) {
        int const ranks = which.ranks() / static_cast<int>(which.replicas);
        return [this, ranks](int rank) {
            engine::RunObserver observer;
            observer.stop_requested = [this] { return stop.load(); };
            if (rank % ranks == 0) {
                observer.step_begun = [this, rank,
                                       begun = 0](schedule::StepPlan const& plan) mutable {
                    rows += plan.num_rows();
                    if (rank == 0 && ++begun == steps) {
                        stop = true;
                        // The server looks now and then; the run must not be done before.
                        std::this_thread::sleep_for(std::chrono::milliseconds(50));
                    }
                };
            }
            return observer;
        };
    }
};

class DamagedCheckpoint : public testing::Test {
  protected:
    DamagedCheckpoint() : queue_(runner_.new_queue(jobs_)) {
        expected_ = runner_.run_on_loopback(baseline_case(), jobs_).results;
        stop_on(on_grid(1, 2, 1, 1), queue_, 9, "earlier");
        stop_on(on_grid(1, 1, 2, 1), queue_, 8, "now");
        stop_on(on_grid(1, 1, 2, 1), runner_.new_queue(make_jobs(2)), 12, "foreign");
    }

    [[nodiscard]] fs::path output() const { return queue_.string() + ".out"; }
    [[nodiscard]] fs::path checkpoint() const { return output() / "checkpoint"; }
    [[nodiscard]] fs::path kept(std::string const& name) const { return runner_.folder() / name; }

    void bring_back(std::string const& name) const {
        fs::remove_all(output());
        fs::copy(kept(name), output(), fs::copy_options::recursive);
    }

    /// Goes on with `queue`, and keeps a copy of what is there when it is stopped.
    void stop_on(EngineCase const& which, fs::path const& queue, int steps,
                 std::string const& name) {
        Watch watch;
        watch.steps = steps;
        int const code = runner_.go_on_on_loopback(which, queue, watch.observer(which)).exit_code;
        if (code != kExitRequeue) {
            throw std::runtime_error(fmt::format("{} ended with {}", name, code));
        }
        fs::copy(queue.string() + ".out", kept(name), fs::copy_options::recursive);
    }

    /// Rows computed by a run to the end from what lies in the output folder.
    [[nodiscard]] std::int64_t go_on(EngineCase const& which) {
        Watch watch;
        EngineOutcome const outcome =
            runner_.go_on_on_loopback(which, queue_, watch.observer(which));
        EXPECT_EQ(outcome.exit_code, 0);
        Comparison const comparison = compare(jobs_, expected_, outcome.results, 1e-3);
        EXPECT_TRUE(comparison.problems.empty()) << comparison.problems.front();
        return watch.rows;
    }

    EngineRunner runner_;
    std::vector<JobLine> jobs_ = make_jobs(1);
    fs::path queue_;
    EngineResults expected_;
};

TEST_F(DamagedCheckpoint, IsNamedOrHarmless) {
    std::vector<EngineCase> const grids{on_grid(1, 1, 1, 1), on_grid(1, 2, 1, 1),
                                        on_grid(1, 1, 2, 1), on_grid(1, 1, 1, 2),
                                        on_grid(2, 1, 1, 1)};
    bring_back("now");
    std::int64_t const rows_undamaged = go_on(grids[0]);
    fs::remove_all(output());
    std::int64_t const rows_afresh = go_on(grids[0]);
    ASSERT_LT(rows_undamaged, rows_afresh - 100);

    CheckpointDamage damage(kept("earlier") / "checkpoint", kept("foreign") / "checkpoint");
    int refused = 0;
    int no_worse = 0;
    int from_the_start = 0;
    char const* const only = std::getenv("LONGHAUL_TEST_MUTATION");
    for (int number = 0; number < kMutations; ++number) {
        if (only != nullptr && number != std::atoi(only)) {
            continue;
        }
        // Other damage with --gtest_random_seed.
        std::mt19937_64 random(static_cast<std::uint64_t>(
            number + 1000 * testing::UnitTest::GetInstance()->random_seed()));
        bring_back("now");
        std::string what;
        bool traceless = false;
        for (int times = number % 4 == 3 ? 3 : 1; times > 0; --times) {
            what += (what.empty() ? "" : ", ") + damage.apply(checkpoint(), random);
            traceless |= damage.traceless();
        }
        SCOPED_TRACE(fmt::format("mutation {}: {}", number, what));
        std::printf("mutation %d: %s\n", number, what.c_str());  // the last one, if this crashes
        std::fflush(stdout);
        EngineCase which = grids[random() % grids.size()];
        // Most of the time of a small run goes into the syncs of its epochs.
        which.checkpoint_tokens = number % 4 == 0 ? 120 : 100'000;
        testing::internal::CaptureStderr();
        std::string said;
        try {
            std::int64_t const rows = go_on(which);
            said = testing::internal::GetCapturedStderr();
            no_worse += rows <= rows_undamaged ? 1 : 0;
            from_the_start += rows >= rows_afresh ? 1 : 0;
            EXPECT_TRUE(traceless || rows <= rows_undamaged ||
                        said.find(checkpoint().string()) != std::string::npos ||
                        said.find("has changed since it was saved") != std::string::npos)
                << rows << " rows instead of " << rows_undamaged
                << ", and nothing was said: " << said;
        } catch (SetupFailed const& failure) {
            said = testing::internal::GetCapturedStderr();
            ++refused;
            EXPECT_NE(std::string(failure.what()).find(checkpoint().string()), std::string::npos)
                << failure.what();
        }
        if (HasFailure()) {
            std::printf("it said: %s\n", said.c_str());
            break;
        }
    }
    std::printf("%d refused, %d as fast as undamaged, %d computed from the start\n", refused,
                no_worse, from_the_start);
    if (only == nullptr) {
        EXPECT_LT(from_the_start, kMutations / 4) << "damage costs more than it must";
        EXPECT_LT(refused, kMutations / 4) << "damage is refused where a run could go on";
    }
}

// What a program with a defect might have written: whole, with a good checksum, and impossible.
std::string make_impossible(io::SavedSequence& sequence, std::mt19937_64& random) {
    auto const some = static_cast<std::int64_t>(1 + random() % 400);
    switch (random() % 9) {
        case 0:
            sequence.position += some;
            return fmt::format("position + {}", some);
        case 1:
            sequence.position = std::max<std::int64_t>(0, sequence.position - some);
            return fmt::format("position - {}", some);
        case 2:
            sequence.prompt_tokens += some;
            return fmt::format("prompt + {}", some);
        case 3:
            sequence.generated.resize(sequence.generated.size() + 1 + random() % 3, 5);
            return "more tokens generated than log-probabilities known";
        case 4:
            sequence.generated.resize(sequence.generated.size() / 2);
            return "half of the generated tokens";
        case 5:
            sequence.logprobs.clear();
            sequence.tbt_s.clear();
            return "no log-probabilities and times";
        case 6:
            sequence.scores.resize(random() % 300, -1.0F);
            return fmt::format("{} scores", sequence.scores.size());
        case 7:
            sequence.end = static_cast<io::SavedEnd>(1 + random() % 3);
            return fmt::format("end {}", static_cast<int>(sequence.end));
        default:
            sequence.generated.assign(3, 100'000);
            return "tokens outside of the vocabulary";
    }
}

TEST_F(DamagedCheckpoint, IsSurvivedWhenItsManifestIsImpossible) {
    for (int number = 0; number < kMutations / 5; ++number) {
        std::mt19937_64 random(static_cast<std::uint64_t>(
            number + 1000 * testing::UnitTest::GetInstance()->random_seed()));
        bring_back("now");
        std::string what;
        for (fs::path const& path : files_below(checkpoint(), ".json")) {
            io::Manifest manifest = io::parse_manifest(read(path));
            for (io::SavedSequence& sequence : manifest.sequences) {
                if (random() % 2 == 0) {
                    what += fmt::format(" {} {} {};", path.filename().string(), sequence.job_id,
                                        make_impossible(sequence, random));
                }
            }
            write_file(path, io::serialize_manifest(manifest));
        }
        std::printf("mutation %d:%s\n", number, what.c_str());
        std::fflush(stdout);
        EngineCase const which = number % 2 == 0 ? on_grid(1, 1, 1, 1) : on_grid(1, 2, 1, 2);
        Watch watch;
        EngineOutcome const outcome =
            runner_.go_on_on_loopback(which, queue_, watch.observer(which));
        EXPECT_TRUE(outcome.exit_code == 0 || outcome.exit_code == 1) << outcome.exit_code;
        EXPECT_EQ(outcome.results.size(), jobs_.size());
    }
}

}  // namespace
}  // namespace longhaul::test
