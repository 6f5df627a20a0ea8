// An end-of-sequence token ends an answer, wherever it comes and whatever runs beside it.

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

constexpr std::int64_t kLength = 12;

JobLine subject() { return generate_job("subject", random_tokens(1, 60), kLength); }

/// What the subject answers when nothing ends it early.
std::vector<TokenId> free_answer() {
    EngineRunner runner;
    return runner.run_on_loopback(baseline_case(), {subject()}).results.at("subject").tokens;
}

EngineCase on_grid(std::int64_t spp, std::int64_t kvp, std::int64_t tp) {
    EngineCase which;
    which.spp = spp;
    which.kvp = kvp;
    which.tp = tp;
    which.chunk = 16;
    which.max_batch = 3;
    return which;
}

TEST(StopToken, EndsTheAnswerWhereverItComes) {
    std::vector<TokenId> const answer = free_answer();
    ASSERT_EQ(static_cast<std::int64_t>(answer.size()), kLength);
    JobLine stopping = subject();
    stopping.ignore_eos = false;
    JobLine ignoring = subject();
    ignoring.id = "ignoring";
    JobLine const after = generate_job("after", random_tokens(3, 20), 3);
    for (std::size_t const place :
         kSanitized ? std::vector<std::size_t>{1} : std::vector<std::size_t>{0, 1, 2, 3, 7}) {
        TinyModelSpec model;
        model.eos_token = answer[place];
        auto const first = std::find(answer.begin(), answer.end(), model.eos_token);
        std::vector<TokenId> const expected(answer.begin(), first + 1);
        EngineRunner runner(model);
        for (EngineCase const& which :
             {on_grid(1, 1, 1), on_grid(2, 1, 1), on_grid(3, 1, 1), on_grid(2, 2, 2)}) {
            EngineResults const results =
                runner
                    .run_on_loopback(which, {stopping, ignoring,
                                             score_job("long", random_tokens(2, 200)), after})
                    .results;
            EXPECT_EQ(results.at("subject").finish_reason, "stop") << which.name();
            EXPECT_EQ(results.at("subject").tokens, expected) << which.name();
            EXPECT_EQ(results.at("ignoring").finish_reason, "length") << which.name();
            EXPECT_EQ(results.at("ignoring").tokens, answer) << which.name();
            EXPECT_TRUE(results.at("after").ok) << which.name();
        }
    }
}

}  // namespace
}  // namespace longhaul::test
