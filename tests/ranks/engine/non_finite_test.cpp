// A job whose logits are not finite fails alone: its company and the jobs that reuse its KV blocks are not touched.

#include "support/engine/compare_results.hpp"
#include "support/engine/engine_case.hpp"
#include "support/engine/engine_runner.hpp"
#include "support/engine/job_lines.hpp"
#include "support/sanitizers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace longhaul::test {
namespace {

constexpr TokenId kPoison = 77;

std::vector<TokenId> clean_tokens(std::uint64_t seed, std::int64_t count) {
    std::vector<TokenId> tokens = random_tokens(seed, count);
    std::replace(tokens.begin(), tokens.end(), kPoison, kPoison + 1);
    return tokens;
}

TEST(NonFinite, FailsOneJobAndNoOther) {
    TinyModelSpec model;
    model.tied = false;
    model.nan_token = kPoison;
    EngineRunner runner(model);
    for (std::int64_t const spp : {1, 3}) {
        EngineCase which;
        which.spp = spp;
        which.kvp = spp == 1 ? 2 : 1;
        which.chunk = 32;
        which.max_batch = 2;
        which.kv_bytes = std::int64_t{1} << 20;  // blocks of failed jobs are used again
        std::vector<JobLine> jobs;
        std::vector<JobLine> good;
        for (std::uint64_t i = 0; i < 8; ++i) {
            std::vector<TokenId> tokens = clean_tokens(i, 90);
            JobLine job = i % 3 == 0 ? score_job("job" + std::to_string(i), tokens)
                                     : generate_job("job" + std::to_string(i), tokens, 3);
            if (i % 2 == 1) {
                job.tokens[40] = kPoison;
            } else {
                good.push_back(job);
            }
            jobs.push_back(job);
        }
        EngineResults const expected = runner.run_on_loopback(baseline_case(), good).results;

        EngineOutcome outcome = runner.run_on_loopback(which, jobs);

        EXPECT_EQ(outcome.exit_code, 1);
        for (std::size_t i = 1; i < jobs.size(); i += 2) {
            EXPECT_FALSE(outcome.results.at(jobs[i].id).ok);
            EXPECT_EQ(outcome.results.at(jobs[i].id).error_code, "non_finite");
            outcome.results.erase(jobs[i].id);
        }
        Comparison const comparison = compare(good, expected, outcome.results, 1e-3);
        EXPECT_TRUE(comparison.problems.empty())
            << "spp " << spp << ": " << comparison.problems.front();
    }
}

// Nothing is asked of a score job's last token but whether it is finite: what it leaves in its block must not reach the job
// that has the block next.
TEST(NonFinite, InTheLastTokenIsSeenToo) {
    TinyModelSpec model;
    model.tied = false;
    model.nan_token = kPoison;
    EngineRunner runner(model);
    for (std::int64_t const kvp : {1, 2}) {
        EngineCase which;
        which.kvp = kvp;
        which.chunk = 32;
        which.max_batch = 1;
        which.kv_bytes = std::int64_t{1} << 20;  // a few blocks, used again and again
        std::vector<JobLine> jobs;
        std::vector<JobLine> good;
        for (std::uint64_t i = 0; i < 16; ++i) {
            JobLine job = score_job("job" + std::to_string(i), clean_tokens(i, 97));
            if (i % 2 == 0) {
                job.tokens.back() = kPoison;  // alone in its chunk
            } else {
                good.push_back(job);
            }
            jobs.push_back(job);
        }
        EngineResults const expected = runner.run_on_loopback(baseline_case(), good).results;
        EngineOutcome outcome = runner.run_on_loopback(which, jobs);
        for (std::size_t i = 0; i < jobs.size(); i += 2) {
            EXPECT_EQ(outcome.results.at(jobs[i].id).error_code, "non_finite");
            outcome.results.erase(jobs[i].id);
        }
        EXPECT_TRUE(compare(good, expected, outcome.results, 1e-3).problems.empty())
            << "kvp " << kvp;
    }
}

// Lengths on both sides of the kernels' steps, so that the last rows see full steps, part of one, or one slot of it.
TEST(NonFinite, OfEveryScoreOfAHeadFailsEveryJob) {
    TinyModelSpec model;
    model.nan_key_layer = model.num_layers / 2;
    EngineRunner runner(model);
    std::vector<EngineCase> cases(3);
    cases[1].kvp = 2;
    cases[1].kv_policy = schedule::KvPolicy::striped;
    cases[2].spp = 2;
    cases[2].tp = 2;
    cases[2].chunk = 48;
    for (EngineCase which : cases) {
        for (kernels::Backend const backend :
             {kernels::Backend::cpu, kernels::Backend::reference}) {
            which.backend = backend;
            which.max_batch = 2;
            std::vector<JobLine> jobs;
            for (std::int64_t length = 60; length <= 130; length += kSanitized ? 13 : 1) {
                auto const seed = static_cast<std::uint64_t>(length);
                std::string const id = "job" + std::to_string(length);
                jobs.push_back(generate_job(id, random_tokens(seed, length), 1));
            }
            EngineOutcome outcome = runner.run_on_loopback(which, jobs);
            EXPECT_EQ(outcome.exit_code, 1);
            for (JobLine const& job : jobs) {
                EXPECT_EQ(outcome.results.at(job.id).error_code, "non_finite")
                    << which.name() << ", " << job.id;
            }
        }
    }
}

}  // namespace
}  // namespace longhaul::test
