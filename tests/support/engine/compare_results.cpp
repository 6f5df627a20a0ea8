#include "support/engine/compare_results.hpp"

#include "kernels/logits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace longhaul::test {
namespace {

class JobComparison {
  public:
    JobComparison(JobLine const& job, double tolerance, Comparison& total)
        : job_(job), tolerance_(tolerance), total_(total) {}

    void run(EngineResult const& reference, EngineResult const& run) {
        if (!reference.ok || !run.ok) {
            problem(fmt::format("reference is {}, run is {} {}", reference.ok ? "ok" : "failed",
                                run.ok ? "ok" : "failed", run.error_code));
            return;
        }
        if (reference.prompt_tokens != run.prompt_tokens ||
            reference.scores.size() != run.scores.size() ||
            reference.tokens.size() != run.tokens.size()) {
            problem("prompt, scores or tokens are not as many");
            return;
        }
        for (std::size_t i = 0; i < reference.scores.size(); ++i) {
            value(fmt::format("score {}", i), reference.scores[i], run.scores[i]);
        }
        compare_tokens(reference, run);
    }

  private:
    void problem(std::string const& text) { total_.problems.push_back(job_.id + ": " + text); }

    void value(std::string const& what, float expected, float actual) {
        double const delta = std::abs(static_cast<double>(expected) - static_cast<double>(actual));
        ++total_.values;
        total_.sum_delta += delta;
        total_.max_delta = std::max(total_.max_delta, delta);
        if (!(delta <= tolerance_)) {  // also when it is NaN
            problem(fmt::format("{}: {} instead of {}", what, actual, expected));
        }
    }

    void compare_tokens(EngineResult const& reference, EngineResult const& run) {
        for (std::size_t i = 0; i < reference.tokens.size(); ++i) {
            auto const index = reference.prompt_tokens + static_cast<std::int64_t>(i);
            io::TokenLogprob const& expected = reference.logprobs.at(i);
            compare_top(i, expected, run.logprobs.at(i));
            if (reference.tokens[i] == run.tokens[i]) {
                ++total_.tokens;
                value(fmt::format("token {}", i), expected.logprob, run.logprobs[i].logprob);
                continue;
            }
            double const gap = choice_gap(job_, index, expected);
            double const unit = job_.temperature > 0 ? job_.temperature : 1.0;
            if (gap * unit < 2 * tolerance_) {
                ++total_.near_ties;
            } else {
                problem(fmt::format("token {} is {} instead of {}, which leads by {}", i,
                                    run.tokens[i], reference.tokens[i], gap));
            }
            return;
        }
    }

    // The lists may end with different tokens: what is in both is compared.
    void compare_top(std::size_t step, io::TokenLogprob const& expected,
                     io::TokenLogprob const& actual) {
        std::map<TokenId, float> const known(expected.top.begin(), expected.top.end());
        std::size_t found = 0;
        for (auto const& [token, logprob] : actual.top) {
            if (auto const entry = known.find(token); entry != known.end()) {
                ++found;
                value(fmt::format("token {}, candidate {}", step, token), entry->second, logprob);
            }
        }
        if (expected.top.size() != actual.top.size() || found + 1 < expected.top.size()) {
            problem(fmt::format("token {}: {} of {} candidates found", step, found,
                                expected.top.size()));
        }
    }

    JobLine const& job_;
    double tolerance_;
    Comparison& total_;
};

std::string first_difference(EngineResult const& expected, EngineResult const& run) {
    if (expected.ok != run.ok) {
        return "status " + run.error_code;
    }
    for (std::size_t i = 0; i < std::min(expected.scores.size(), run.scores.size()); ++i) {
        if (expected.scores[i] != run.scores[i]) {
            return fmt::format("score {}: {} instead of {}", i, run.scores[i], expected.scores[i]);
        }
    }
    for (std::size_t i = 0; i < std::min(expected.logprobs.size(), run.logprobs.size()); ++i) {
        if (expected.logprobs[i] != run.logprobs[i]) {
            return fmt::format("token {}: {} ({}) instead of {} ({})", i, run.logprobs[i].id,
                               run.logprobs[i].logprob, expected.logprobs[i].id,
                               expected.logprobs[i].logprob);
        }
    }
    return "another field";
}

}  // namespace

Comparison& Comparison::operator+=(Comparison const& other) {
    values += other.values;
    tokens += other.tokens;
    near_ties += other.near_ties;
    max_delta = std::max(max_delta, other.max_delta);
    sum_delta += other.sum_delta;
    problems.insert(problems.end(), other.problems.begin(), other.problems.end());
    return *this;
}

Comparison compare(std::vector<JobLine> const& jobs, EngineResults const& reference,
                   EngineResults const& run, double tolerance) {
    Comparison total;
    if (run.size() != jobs.size()) {
        total.problems.push_back(fmt::format("{} results of {} jobs", run.size(), jobs.size()));
    }
    for (JobLine const& job : jobs) {
        if (!run.contains(job.id)) {
            total.problems.push_back(job.id + ": no result");
            continue;
        }
        JobComparison(job, tolerance, total).run(reference.at(job.id), run.at(job.id));
    }
    return total;
}

double choice_gap(JobLine const& job, std::int64_t index, io::TokenLogprob const& step) {
    kernels::LogitQuery query;
    query.temperature = static_cast<float>(job.temperature);
    query.noise_seed = job.seed;
    query.noise_key = XXH3_64bits(job.id.data(), job.id.size());
    query.noise_index = index;
    auto const score = [&](TokenId token, float logprob) {
        return job.temperature > 0 ? static_cast<double>(logprob) / job.temperature +
                                         kernels::gumbel_noise(query, token)
                                   : static_cast<double>(logprob);
    };
    double best_other = -std::numeric_limits<double>::infinity();
    for (auto const& [token, logprob] : step.top) {
        if (token != step.id) {
            best_other = std::max(best_other, score(token, logprob));
        }
    }
    return score(step.id, step.logprob) - best_other;
}

std::string differences(EngineResults const& expected, EngineResults const& run) {
    std::string text;
    for (auto const& [id, result] : expected) {
        auto const found = run.find(id);
        if (found == run.end()) {
            text += id + ": no result\n";
        } else if (!(found->second == result)) {
            text += id + ": " + first_difference(result, found->second) + '\n';
        }
    }
    return text;
}

}  // namespace longhaul::test
