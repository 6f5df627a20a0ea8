// Finished prefills are kept: another run, on another grid, with other questions, starts from them.

#include "support/engine/compare_results.hpp"
#include "support/engine/engine_case.hpp"
#include "support/engine/engine_runner.hpp"
#include "support/engine/job_lines.hpp"
#include "support/sanitizers.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace longhaul::test {
namespace {

class KvStoreRun : public testing::Test {
  protected:
    [[nodiscard]] EngineCase on_grid(std::int64_t spp, std::int64_t kvp, std::int64_t tp) const {
        EngineCase which;
        which.spp = spp;
        which.kvp = kvp;
        which.tp = tp;
        which.chunk = 32;
        which.block_slots = 16;
        which.max_batch = 2;
        which.kv_store = runner.folder() / "store";
        return which;
    }

    [[nodiscard]] JobLine ask(std::string const& id, std::string const& question,
                              std::int64_t max_tokens = 6) const {
        return question_job(id, document, question, max_tokens);
    }

    /// Prompt entries that the run computes.
    [[nodiscard]] std::int64_t rows_of(EngineCase const& which, std::vector<JobLine> const& jobs) {
        std::int64_t rows = 0;
        EngineResults const expected = runner.run_on_loopback({}, jobs).results;
        EngineOutcome const outcome = runner.run_on_loopback(which, jobs, [&rows](int rank) {
            engine::RunObserver observer;
            if (rank == 0) {
                observer.step_begun = [&rows](schedule::StepPlan const& plan) {
                    for (schedule::PlanItem const& item : plan.items) {
                        rows += item.decode ? 0 : item.size();
                    }
                };
            }
            return observer;
        });
        EXPECT_EQ(outcome.exit_code, 0);
        EXPECT_TRUE(compare(jobs, expected, outcome.results, 1e-3).problems.empty())
            << which.name();
        return rows;
    }

    [[nodiscard]] std::size_t num_entries() const {
        std::size_t count = 0;
        for (auto const& entry :
             std::filesystem::directory_iterator(runner.folder() / "store/entries")) {
            count += entry.path().extension() == ".json" ? 1U : 0U;
        }
        return count;
    }

    EngineRunner runner;
    std::string document = random_text(3, 60);
};

TEST_F(KvStoreRun, ADocumentIsPrefilledOnce) {
    std::int64_t const whole = rows_of(on_grid(1, 1, 1), {ask("a", "What happens?")});
    ASSERT_GT(whole, 200);
    EXPECT_EQ(num_entries(), 1U);
    std::vector<EngineCase> cases{on_grid(1, 3, 1), on_grid(2, 1, 1)};
    if (!kSanitized) {
        cases.insert(cases.end(), {on_grid(1, 1, 1), on_grid(1, 1, 3), on_grid(2, 2, 1)});
    }
    for (EngineCase const& which : cases) {
        EXPECT_LT(rows_of(which, {ask("b", "And why?")}), 70) << which.name();
    }
    EXPECT_EQ(num_entries(), 1U) << "known documents are not kept again";
    EXPECT_EQ(std::filesystem::exists(runner.folder() / "checkpoint"), false);
}

// The job ends with its first token, before the epoch that its document waits for.
TEST_F(KvStoreRun, AJobOfOneTokenLeavesItsDocument) {
    static_cast<void>(rows_of(on_grid(2, 2, 1), {ask("a", "What happens?", 1)}));
    EXPECT_EQ(num_entries(), 1U);
    EXPECT_LT(rows_of(on_grid(1, 1, 2), {ask("b", "And why?")}), 70);
}

TEST_F(KvStoreRun, AnotherDocumentAndOtherSettingsDoNotMeet) {
    std::int64_t const whole = rows_of(on_grid(1, 1, 1), {ask("a", "What happens?")});
    document = "X" + document;
    EXPECT_GT(rows_of(on_grid(1, 1, 1), {ask("b", "And why?")}), 200);
    EXPECT_EQ(num_entries(), 2U);
    document.erase(0, 1);
    EngineCase blocks = on_grid(1, 1, 1);
    blocks.block_slots = 32;
    EXPECT_EQ(rows_of(blocks, {ask("a", "What happens?")}), whole);
}

TEST_F(KvStoreRun, DamageIsNamedAndComputedAgain) {
    std::int64_t const whole = rows_of(on_grid(1, 1, 1), {ask("a", "What happens?")});
    for (auto const& segment :
         std::filesystem::directory_iterator(runner.folder() / "store/segments")) {
        std::fstream file(segment.path(), std::ios::in | std::ios::out | std::ios::binary);
        auto const size = static_cast<std::streamoff>(std::filesystem::file_size(segment.path()));
        for (std::streamoff at = size / 4; at < size * 3 / 4; at += 512) {
            file.seekp(at);
            file.put('!');
        }
    }
    testing::internal::CaptureStderr();
    std::int64_t const rows = rows_of(on_grid(1, 2, 1), {ask("a", "What happens?")});
    std::string const said = testing::internal::GetCapturedStderr();
    EXPECT_GT(rows, 40);
    EXPECT_LE(rows, whole);
    EXPECT_NE(said.find("computed again"), std::string::npos) << said;
}

}  // namespace
}  // namespace longhaul::test
