#include "kernels/logits.hpp"

#include "base/checked.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/logits_backends.hpp"
#include "kernels/logits_noise.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace longhaul::kernels {

double LogitSummary::log_sum_exp() const { return max + std::log(sum_exp); }

double GumbelNoise::noise(std::uint64_t bits) { return -std::log(-std::log(uniform(bits))); }

double gumbel_noise(LogitQuery const& query, TokenId token) {
    return GumbelNoise::noise(GumbelNoise(query).bits(token));
}

void summarize_logits(ExecContext const& exec, float const* logits, Range vocab,
                      std::span<LogitQuery const> queries, std::span<LogitSummary> summaries) {
    LH_EXPECT(queries.size() == summaries.size());
    LH_EXPECT(vocab.begin >= 0 && vocab.size() >= 0);
    LH_EXPECT(vocab.empty() || queries.empty() || logits != nullptr);
    for (LogitQuery const& query : queries) {
        LH_EXPECT(query.top_k >= 0);
        LH_EXPECT(query.temperature >= 0.0F);
    }
    std::fill(summaries.begin(), summaries.end(), LogitSummary{});
    if (vocab.empty()) {
        return;
    }
    // The largest id must fit the type.
    static_cast<void>(checked_cast<TokenId>(vocab.end - 1));
    if (exec.backend == Backend::cpu) {
        cpu::summarize_logits(exec, logits, vocab, queries, summaries);
        return;
    }
    if (exec.backend == Backend::cuda) {
        cuda::summarize_logits(exec, logits, vocab, queries, summaries);
        return;
    }
    for (std::size_t row = 0; row < queries.size(); ++row) {
        reference::summarize_row(logits + static_cast<std::int64_t>(row) * vocab.size(), vocab,
                                 queries[row], summaries[row]);
    }
}

void merge_summaries(LogitSummary& into, LogitSummary const& other, LogitQuery const& query) {
    into.finite = into.finite && other.finite;
    if (into.sum_exp == 0.0) {
        into.max = other.max;
        into.sum_exp = other.sum_exp;
    } else if (other.sum_exp != 0.0) {
        double const max = std::max(into.max, other.max);
        into.sum_exp =
            into.sum_exp * std::exp(into.max - max) + other.sum_exp * std::exp(other.max - max);
        into.max = max;
    }
    if (other.has_target) {
        into.target_logit = other.target_logit;
        into.has_target = true;
    }
    if (query.sample && other.chosen.id >= 0 &&
        (into.chosen.id < 0 ||
         beats(other.chosen_score, other.chosen.id, into.chosen_score, into.chosen.id))) {
        into.chosen = other.chosen;
        into.chosen_score = other.chosen_score;
    }
    if (query.top_k > 0 && !other.top.empty()) {
        std::vector<ScoredToken> merged;
        merged.reserve(into.top.size() + other.top.size());
        std::merge(into.top.begin(), into.top.end(), other.top.begin(), other.top.end(),
                   std::back_inserter(merged),
                   [](ScoredToken const& a, ScoredToken const& b) { return beats(a, b); });
        merged.resize(std::min(merged.size(), static_cast<std::size_t>(query.top_k)));
        into.top = std::move(merged);
    }
}

}  // namespace longhaul::kernels
