// T1 of the design: with --deterministic a job's bits depend neither on its company nor on what it shares.

#include "support/engine/compare_results.hpp"
#include "support/engine/engine_case.hpp"
#include "support/engine/engine_runner.hpp"
#include "support/engine/job_lines.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace longhaul::test {
namespace {

struct Setting {
    std::int64_t spp, kvp, tp, chunk;
    DType dtype;
};

class Deterministic : public testing::TestWithParam<Setting> {
  protected:
    [[nodiscard]] static EngineCase make_case() {
        EngineCase which;
        which.spp = GetParam().spp;
        which.kvp = GetParam().kvp;
        which.tp = GetParam().tp;
        which.chunk = GetParam().chunk;
        which.dtype = GetParam().dtype;
        which.max_batch = 5;
        which.deterministic = true;
        return which;
    }

    [[nodiscard]] static JobLine subject() {
        return question_job("subject", random_text(5, 70), "What happens to the words?", 8);
    }

    [[nodiscard]] static std::vector<JobLine> company() {
        return {score_job("score", random_tokens(1, 170)),
                generate_job("short", random_tokens(2, 33), 12),
                question_job("other", random_text(9, 40), "Why?", 3),
                sampled(generate_job("sampled", random_tokens(3, 100), 9), 0.8, 3)};
    }

    // Runs a queue and returns the subject's result alone.
    [[nodiscard]] EngineResults subject_of(EngineCase const& which,
                                           std::vector<JobLine> const& jobs) {
        EngineOutcome const outcome = runner_.run_on_loopback(which, jobs);
        EXPECT_EQ(outcome.exit_code, 0);
        return {{"subject", outcome.results.at("subject")}};
    }

    EngineRunner runner_;
};

TEST_P(Deterministic, TheSameBitsAloneInCompanyAndSharing) {
    EngineCase const which = make_case();
    EngineResults const alone = subject_of(which, {subject()});
    EXPECT_EQ(differences(alone, subject_of(which, {subject()})), "") << "run twice";

    std::vector<JobLine> crowd = company();
    crowd.insert(crowd.begin() + 2, subject());
    EXPECT_EQ(differences(alone, subject_of(which, crowd)), "") << "in company";

    JobLine sharer = subject();
    sharer.id = "sharer";
    sharer.prompt = "Another question about the same text?";
    EXPECT_EQ(differences(alone, subject_of(which, {sharer, subject()})), "")
        << "its document filled by another job";
    EXPECT_EQ(differences(alone, subject_of(which, {subject(), sharer})), "")
        << "its document read by another job";

    EngineCase one_by_one = which;
    one_by_one.max_batch = 1;
    EXPECT_EQ(differences(alone, subject_of(one_by_one, {sharer, subject()})), "")
        << "its document kept from a finished job";
}

TEST_P(Deterministic, AFragmentedPoolChangesNothing) {
    EngineCase which = make_case();
    EngineResults const alone = subject_of(which, {subject()});
    which.max_batch = 3;
    which.kv_bytes = std::int64_t{1} << 20;  // blocks are reused and evicted all the time
    std::vector<JobLine> jobs;
    for (int i = 0; i < 9; ++i) {
        jobs.push_back(generate_job("filler" + std::to_string(i),
                                    random_tokens(static_cast<std::uint64_t>(i) + 20, 40 + 31 * i),
                                    3 + i % 4));
    }
    jobs.insert(jobs.begin() + 7, subject());
    EXPECT_EQ(differences(alone, subject_of(which, jobs)), "");
}

// The document is the beginning of another one and ends inside a chunk of it: its last part was computed in a longer chunk
// there, where a row's bits may be others.
TEST(DeterministicBeginning, TheSameBitsBesideALongerDocumentThatBeginsTheSame) {
    EngineCase which;
    which.dtype = DType::bf16;
    which.chunk = 100;
    which.block_slots = 128;
    which.max_batch = 2;
    which.deterministic = true;
    std::vector<TokenId> const tokens = random_tokens(8, 700);
    EngineRunner runner;
    for (std::int64_t const length : {200, 130, 300, 650}) {
        JobLine const job = generate_job("job", {tokens.begin(), tokens.begin() + length}, 6);
        EngineResults const alone = runner.run_on_loopback(which, {job}).results;
        EngineResults const beside =
            runner.run_on_loopback(which, {generate_job("longer", tokens, 2), job}).results;
        EXPECT_EQ(differences(alone, {{"job", beside.at("job")}}), "") << length << " tokens";
    }
}

INSTANTIATE_TEST_SUITE_P(Settings, Deterministic,
                         testing::Values(Setting{1, 1, 1, 64, DType::f32},
                                         Setting{1, 1, 1, 7, DType::bf16},
                                         Setting{2, 2, 2, 64, DType::bf16},
                                         Setting{2, 2, 2, 7, DType::f32}),
                         [](testing::TestParamInfo<Setting> const& which) {
                             Setting const& s = which.param;
                             return "spp" + std::to_string(s.spp) + "kvp" + std::to_string(s.kvp) +
                                    "tp" + std::to_string(s.tp) + "chunk" +
                                    std::to_string(s.chunk) + dtype_name(s.dtype);
                         });

}  // namespace
}  // namespace longhaul::test
