#pragma once

#include "kernels/logits.hpp"

namespace longhaul::kernels {

namespace reference {
void summarize_row(float const* logits, Range vocab, LogitQuery const& query,
                   LogitSummary& summary);
}
namespace cpu {
void summarize_logits(ExecContext const& exec, float const* logits, Range vocab,
                      std::span<LogitQuery const> queries, std::span<LogitSummary> summaries);
}

/// Whether candidate a beats b: higher score, then smaller id.
[[nodiscard]] constexpr bool beats(double score_a, TokenId a, double score_b, TokenId b) {
    return score_a > score_b || (score_a == score_b && a < b);
}
/// Order of LogitSummary::top.
[[nodiscard]] constexpr bool beats(ScoredToken const& a, ScoredToken const& b) {
    return beats(a.logit, a.id, b.logit, b.id);
}

}  // namespace longhaul::kernels
