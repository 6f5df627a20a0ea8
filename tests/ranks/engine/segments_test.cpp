// A checkpoint of many small writes stays one of few segments, and those of a long document hold nothing else.

#include "io/checkpoint_names.hpp"
#include "io/kv_segment_reader.hpp"
#include "io/kv_store_entry.hpp"
#include "io/manifest.hpp"
#include "ranks/engine/stop_after.hpp"
#include "support/engine/compare_results.hpp"
#include "support/engine/engine_case.hpp"
#include "support/engine/engine_runner.hpp"
#include "support/engine/job_lines.hpp"
#include "support/sanitizers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace longhaul::test {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostNamed = 16;
constexpr std::size_t kMinOwnBlocks = 32;

EngineCase on_grid(std::int64_t spp, std::int64_t kvp, std::int64_t tp) {
    EngineCase which;
    which.spp = spp;
    which.kvp = kvp;
    which.tp = tp;
    which.chunk = 16;
    which.block_slots = 16;
    which.max_batch = 2;
    which.checkpoint_tokens = 80;
    which.checkpoint_buffer = 1;  // every block is a segment at first
    return which;
}

std::string read(fs::path const& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// Follows the manifests of a checkpoint while a run writes them: not those of the runs before, whose last epochs may name more.
class Watch {
  public:
    explicit Watch(fs::path checkpoint) : checkpoint_(std::move(checkpoint)) {
        for (std::string const& name : manifests()) {
            seen_.insert(name);
        }
    }

    /// `last`: what appeared since was written when the run was stopped, and may name any number.
    void look(bool last = false) {
        for (std::string const& name : manifests()) {
            std::string const text = seen_.contains(name) ? "" : read(checkpoint_ / name);
            if (!text.empty()) {
                seen_.insert(name);
                ++num_manifests_;
                take(io::parse_manifest(text), last);
            }
        }
    }

    [[nodiscard]] int num_manifests() const { return num_manifests_; }
    [[nodiscard]] std::int64_t most_named() const { return most_named_; }
    /// By their numbers, of the rank that wrote the most.
    [[nodiscard]] std::int64_t most_written() const { return most_written_; }

  private:
    [[nodiscard]] std::vector<std::string> manifests() const {
        std::vector<std::string> names;
        std::error_code none;
        for (auto const& entry : fs::directory_iterator(checkpoint_, none)) {
            if (io::parse_manifest_name(entry.path().filename().string())) {
                names.push_back(entry.path().filename());
            }
        }
        return names;
    }

    void take(io::Manifest const& manifest, bool last) {
        std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t>, std::int64_t> of_rank;
        for (io::KvSegmentInfo const& segment : manifest.segments) {
            auto const id = io::parse_segment_name(segment.name);
            ASSERT_TRUE(id) << segment.name;
            EXPECT_TRUE(fs::exists(checkpoint_ / "segments" / segment.name) ||
                        !fs::exists(checkpoint_ / io::manifest_name(manifest.id)))
                << segment.name;
            if (id->run == manifest.id.run) {
                std::int64_t const count = ++of_rank[{id->stage, id->kvp, id->tp}];
                most_named_ = last ? most_named_ : std::max(most_named_, count);
                most_written_ = std::max(most_written_, id->number + 1);
            }
        }
    }

    fs::path checkpoint_;
    std::set<std::string> seen_;
    int num_manifests_ = 0;
    std::int64_t most_named_ = 0;
    std::int64_t most_written_ = 0;
};

/// Looks at every step of rank 0, which stops the run after `steps` of them.
ObserverOfRank watching(std::shared_ptr<Watch> const& watch, int steps) {
    ObserverOfRank const stopper = stop_after(steps);
    return [=](int rank) {
        engine::RunObserver observer = stopper(rank);
        if (rank == 0) {
            observer.step_begun = [watch, inner = observer.step_begun](auto const& plan) {
                // The last epoch, which waits for no merge, comes after the last step.
                watch->look();
                inner(plan);
            };
        }
        return observer;
    };
}

std::vector<JobLine> long_jobs() {
    return {question_job("first", random_text(5, 220), "What happens to the words?", 12),
            sampled(generate_job("second", random_tokens(3, 660), 20), 0.8, 3),
            question_job("third", random_text(6, 60), "Why?", 30)};
}

class Segments : public testing::Test {
  protected:
    /// Runs a queue on the grids, stopped on all but the last one.
    EngineResults run(std::vector<JobLine> const& jobs, std::vector<EngineCase> const& grids,
                      int steps) {
        fs::path const queue = runner.new_queue(jobs);
        fs::path const checkpoint = queue.string() + ".out/checkpoint";
        for (std::size_t i = 0; i + 1 < grids.size(); ++i) {
            auto const watch = std::make_shared<Watch>(checkpoint);
            int const code =
                runner.go_on_on_loopback(grids[i], queue, watching(watch, steps)).exit_code;
            EXPECT_EQ(code, kExitRequeue) << grids[i].name();
            // On a slow disk few epochs come before the last one.
            watch->look(true);
            EXPECT_GE(watch->num_manifests(), 1) << grids[i].name();
            EXPECT_LE(watch->most_named(), kMostNamed) << grids[i].name();
            most_written = std::max(most_written, watch->most_written());
        }
        EngineOutcome outcome = runner.go_on_on_loopback(grids.back(), queue);
        EXPECT_EQ(outcome.exit_code, 0);
        EXPECT_FALSE(fs::exists(checkpoint)) << "nothing is left of a complete run";
        return outcome.results;
    }

    EngineRunner runner;
    std::int64_t most_written = 0;
};

TEST_F(Segments, StayFewAndResumeOnTheSameGridWithTheSameBits) {
    std::vector<JobLine> const jobs = long_jobs();
    std::vector<EngineCase> grids{on_grid(1, 1, 1)};
    if (!kSanitized) {
        grids.push_back(on_grid(2, 1, 1));
    }
    for (EngineCase which : grids) {
        which.deterministic = true;
        EngineResults const expected = runner.run_on_loopback(which, jobs).results;
        most_written = 0;
        EngineResults const results = run(jobs, {which, which, which}, 45);
        EXPECT_EQ(differences(expected, results), "") << which.name();
        EXPECT_GT(most_written, 2 * kMostNamed) << "merging was needed";
    }
}

TEST_F(Segments, StayFewAndResumeOnAnotherGrid) {
    std::vector<JobLine> const jobs = long_jobs();
    // The serial kernels take minutes under a sanitizer, which does not look for wrong numbers.
    EngineCase const serial = kSanitized ? on_grid(1, 1, 1) : baseline_case();
    EngineResults const expected = runner.run_on_loopback(serial, jobs).results;
    EngineResults const results =
        run(jobs, {on_grid(1, 1, 1), on_grid(1, 2, 1), on_grid(2, 1, 2)}, 45);
    Comparison const comparison = compare(jobs, expected, results, 1e-3);
    EXPECT_TRUE(comparison.problems.empty()) << comparison.problems.front();
    EXPECT_GT(most_written, 2 * kMostNamed) << "merging was needed";
}

TEST_F(Segments, OfALongDocumentInTheStoreHoldNothingElse) {
    std::string const document = random_text(1, 180);
    // Beside each other; two on one document; a short document between.
    std::vector<JobLine> const jobs{question_job("a", document, "What happens?", 20),
                                    question_job("b", random_text(2, 170), "And here?", 20),
                                    question_job("c", random_text(3, 60), "Short?", 40),
                                    question_job("d", document, "Why?", 10),
                                    question_job("e", random_text(4, 160), "Once more?", 6)};
    std::vector<EngineCase> grids{on_grid(1, 2, 1)};
    if (!kSanitized) {
        grids.push_back(on_grid(1, 1, 2));
    }
    for (EngineCase which : grids) {
        which.max_batch = 3;
        which.kv_store = runner.folder() / ("store" + std::to_string(which.kvp));
        ASSERT_EQ(runner.run_on_loopback(which, jobs).exit_code, 0);
        std::size_t long_documents = 0;
        std::size_t entries = 0;
        for (auto const& file : fs::directory_iterator(which.kv_store / "entries")) {
            io::KvStoreEntry const entry = io::parse_kv_entry(read(file.path())).entry;
            ++entries;
            EXPECT_LE(entry.segments.size(), static_cast<std::size_t>(16 * which.ranks()));
            if (entry.keys.size() < kMinOwnBlocks) continue;
            ++long_documents;
            for (io::KvSegmentInfo const& segment : entry.segments) {
                io::KvSegmentReader const reader(which.kv_store / "segments" / segment.name);
                for (io::KvSegmentBlock const& block : reader.blocks()) {
                    EXPECT_NE(std::find(entry.keys.begin(), entry.keys.end(), block.key),
                              entry.keys.end())
                        << segment.name << " holds a foreign block";
                }
            }
        }
        EXPECT_EQ(entries, 4U) << which.name();
        EXPECT_EQ(long_documents, 3U) << which.name();
    }
}

}  // namespace
}  // namespace longhaul::test
