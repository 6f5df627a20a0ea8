#pragma once

#include "support/engine/compare_results.hpp"
#include "support/engine/engine_case.hpp"
#include "support/engine/engine_runner.hpp"
#include "support/engine/job_lines.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace longhaul::test {

struct Grid {
    std::int64_t replicas = 1;
    std::int64_t spp = 1;
    std::int64_t kvp = 1;
    std::int64_t tp = 1;
};

inline constexpr std::array<Grid, 12> kGrids{{{1, 1, 1, 1},
                                              {1, 2, 1, 1},
                                              {1, 3, 1, 1},
                                              {1, 1, 2, 1},
                                              {1, 1, 4, 1},
                                              {1, 1, 1, 2},
                                              {1, 1, 1, 3},
                                              {1, 2, 2, 1},
                                              {1, 1, 2, 3},
                                              {1, 2, 2, 2},
                                              {2, 1, 1, 1},
                                              {2, 2, 1, 2}}};

/// The cases of one grid: every chunk size, and over `variants` rounds every other choice in changing company. The strides
/// have no common factor, so within two rounds each pair of choices meets.
[[nodiscard]] inline std::vector<EngineCase> cases_of(Grid const& grid, int variants) {
    std::vector<EngineCase> cases;
    std::array<std::int64_t, 4> const chunks{1, 7, 64, 512};
    for (int variant = 0; variant < variants; ++variant) {
        for (std::size_t c = 0; c < chunks.size(); ++c) {
            auto const n = static_cast<std::size_t>(variant) * 3 + c;
            EngineCase which;
            which.replicas = grid.replicas;
            which.spp = grid.spp;
            which.kvp = grid.kvp;
            which.tp = grid.tp;
            which.chunk = chunks[c];
            which.block_slots = n % 2 == 0 ? 64 : 128;
            which.max_batch = n / 2 % 2 == 0 ? 5 : 1;
            which.kvp_weights =
                n % 3 == 1 ? model::WeightStorage::replicated : model::WeightStorage::sharded;
            std::array<schedule::KvPolicy, 3> const policies{schedule::KvPolicy::striped,
                                                             schedule::KvPolicy::automatic,
                                                             schedule::KvPolicy::single};
            which.kv_policy = policies[(n + n / 3) % 3];
            cases.push_back(which);
        }
    }
    return cases;
}

/// Every kind of job; two questions on one document where `shared`, else on two. Short for a chunk of one token, where
/// every token is a step.
[[nodiscard]] inline std::vector<JobLine> layout_jobs(bool shared, bool brief) {
    std::int64_t const unit = brief ? 40 : 100;
    std::int64_t const words = brief ? 22 : 60;
    std::string const text = random_text(1, words);
    return {score_job("score", random_tokens(1, unit * 3 / 2)),
            question_job("first", text, "What is it about?", 5),
            generate_job("greedy", random_tokens(2, unit * 2 + 1), 6),
            question_job("second", shared ? text : random_text(2, words), "Why?", 5),
            sampled(generate_job("sampled", random_tokens(3, unit - 3), 6), 0.9, 17)};
}

/// Runs cases against the baseline of the same jobs, which is computed once.
class LayoutChecker {
  public:
    static constexpr double kTolerance = 1e-3;  // f32, design section 6

    [[nodiscard]] std::vector<JobLine> const& jobs(EngineCase const& which) {
        return sets_[index(which)].first;
    }
    /// Empty when the run agrees with the baseline.
    [[nodiscard]] std::vector<std::string> check(EngineCase const& which,
                                                 EngineOutcome const& outcome) {
        auto& [list, reference] = sets_[index(which)];
        if (reference.empty()) {
            reference = runner.run_on_loopback(baseline_case(), list).results;
        }
        Comparison const comparison = compare(list, reference, outcome.results, kTolerance);
        total += comparison;
        std::vector<std::string> problems = comparison.problems;
        if (outcome.exit_code != 0) {
            problems.push_back("exit code " + std::to_string(outcome.exit_code));
        }
        return problems;
    }

    EngineRunner runner;
    Comparison total;

  private:
    // Whether the document is shared alternates over every axis of the matrix, so both meet every grid, batch and block.
    [[nodiscard]] static std::size_t index(EngineCase const& which) {
        std::int64_t const sum = which.replicas + which.spp + which.kvp + which.tp +
                                 which.chunk / 7 + (which.max_batch == 5 ? 1 : 0) +
                                 (which.block_slots == 128 ? 1 : 0);
        auto const shared = static_cast<std::size_t>(sum % 2);
        return (which.chunk == 1 ? 2U : 0U) + shared;
    }

    std::array<std::pair<std::vector<JobLine>, EngineResults>, 4> sets_{
        {{layout_jobs(false, false), {}},
         {layout_jobs(true, false), {}},
         {layout_jobs(false, true), {}},
         {layout_jobs(true, true), {}}}};
};

/// Runs the cases on loopback ranks and reports every disagreement.
inline void expect_agreement(LayoutChecker& checker, std::vector<EngineCase> const& cases) {
    for (EngineCase const& which : cases) {
        EngineOutcome const outcome = checker.runner.run_on_loopback(which, checker.jobs(which));
        for (std::string const& problem : checker.check(which, outcome)) {
            ADD_FAILURE() << which.name() << ": " << problem;
        }
    }
    std::cout << "largest difference so far " << checker.total.max_delta << " over "
              << checker.total.values << " log-probabilities, near-ties " << checker.total.near_ties
              << '\n';
}

/// The scored job in bf16 stays close to what f32 gives, and is not f32 in disguise.
inline void expect_bf16_close_to_f32(LayoutChecker& checker, EngineCase which) {
    which.dtype = DType::bf16;
    std::vector<JobLine> const& jobs = checker.jobs(which);
    EngineResults const reference = checker.runner.run_on_loopback(baseline_case(), jobs).results;
    EngineResults const run = checker.runner.run_on_loopback(which, jobs).results;
    std::vector<JobLine> const scored{jobs[0]};
    Comparison const comparison = compare(scored, reference, {{"score", run.at("score")}}, 1.0);
    EXPECT_TRUE(comparison.problems.empty()) << which.name() << ": " << comparison.problems.front();
    EXPECT_LT(comparison.mean_delta(), 0.1) << which.name();
    EXPECT_GT(comparison.mean_delta(), 1e-6) << "bf16 computed in f32?";
}

}  // namespace longhaul::test
