#include "kernels/logits_backends.hpp"

#include <algorithm>
#include <cmath>

namespace longhaul::kernels::reference {

namespace {

double score(LogitQuery const& query, ScoredToken const& candidate) {
    if (query.temperature == 0.0F) {
        return candidate.logit;
    }
    return static_cast<double>(candidate.logit) / query.temperature +
           gumbel_noise(query, candidate.id);
}

}  // namespace

void summarize_row(float const* logits, Range vocab, LogitQuery const& query,
                   LogitSummary& summary) {
    std::vector<ScoredToken> candidates;
    for (std::int64_t id = vocab.begin; id < vocab.end; ++id) {
        candidates.push_back({static_cast<TokenId>(id), logits[id - vocab.begin]});
    }
    for (ScoredToken const& candidate : candidates) {
        summary.finite = summary.finite && std::isfinite(candidate.logit);
        summary.max = std::max(summary.max, static_cast<double>(candidate.logit));
        if (candidate.id == query.target) {
            summary.target_logit = candidate.logit;
            summary.has_target = true;
        }
    }
    if (!summary.finite) {
        return;
    }
    for (ScoredToken const& candidate : candidates) {
        summary.sum_exp += std::exp(candidate.logit - summary.max);
    }
    for (ScoredToken const& candidate : candidates) {
        if (!query.sample) {
            break;
        }
        double const candidate_score = score(query, candidate);
        if (summary.chosen.id < 0 || candidate_score > summary.chosen_score) {
            summary.chosen = candidate;
            summary.chosen_score = candidate_score;
        }
    }
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](ScoredToken const& a, ScoredToken const& b) { return a.logit > b.logit; });
    candidates.resize(std::min(candidates.size(), static_cast<std::size_t>(query.top_k)));
    summary.top = std::move(candidates);
}

}  // namespace longhaul::kernels::reference
