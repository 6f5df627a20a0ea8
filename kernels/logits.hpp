#pragma once

#include "base/range.hpp"
#include "base/types.hpp"
#include "kernels/exec_context.hpp"

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace longhaul::kernels {

/// What is asked of one row of logits.
struct LogitQuery {
    TokenId target = -1;     ///< token whose logit is wanted; -1: none
    std::int32_t top_k = 0;  ///< number of largest logits wanted
    bool sample = false;     ///< choose a token: greedy at temperature 0, else Gumbel-max
    float temperature = 0.0F;
    std::uint64_t noise_seed = 0;  ///< user's seed
    std::uint64_t noise_key = 0;   ///< hash of the job id
    std::uint32_t noise_choice = 0;
    std::int64_t noise_index = 0;  ///< causal index of the token being chosen
};

struct ScoredToken {
    TokenId id = -1;
    float logit = 0.0F;
};

/// Summary of one row over one slice of the vocabulary; slices merge into the row of the whole vocabulary. A default one
/// is the summary of an empty slice. Where `finite` is false the other values mean nothing.
struct LogitSummary {
    double max = -std::numeric_limits<double>::infinity();  ///< -inf over an empty slice
    double sum_exp = 0.0;       ///< sum of exp(logit - max), accumulated in fp64
    bool finite = true;         ///< no NaN or +-inf among the logits
    float target_logit = 0.0F;  ///< valid when has_target
    bool has_target = false;
    ScoredToken
        chosen;  ///< valid when sampled (id -1: empty slice); ties go to the smaller token id
    double chosen_score =
        0.0;  ///< logit / temperature + Gumbel noise; the logit itself when greedy
    std::vector<ScoredToken> top;  ///< descending logit, ties by smaller id

    [[nodiscard]] double log_sum_exp() const;  ///< natural log; -inf over an empty slice
};

/// Summarises rows of logits over the vocabulary slice `vocab`: logits [queries.size(), vocab.size()] f32.
/// Sampling is Gumbel-max with counter-based noise (Philox 4x32-10) keyed by (seed, job, choice, index, token id), so it
/// does not depend on the layout and has no state (Maddison et al. 2014, arXiv:1411.0030; Salmon et al. 2011).
///
/// Memory    queries and summaries are host memory on every backend; the call returns when the summaries are there
/// Requires  temperature >= 0; top_k >= 0 (more than the slice holds: all of it); token ids are vocab.begin + column
/// Repeatable  a row's result does not depend on other rows or on the number of threads
void summarize_logits(ExecContext const& exec, float const* logits, Range vocab,
                      std::span<LogitQuery const> queries, std::span<LogitSummary> summaries);

/// Folds the summary of another slice into `into`. Commutative up to rounding of sum_exp; call it in coordinate order.
void merge_summaries(LogitSummary& into, LogitSummary const& other, LogitQuery const& query);

/// Gumbel noise of one candidate, -log(-log(u)) in fp64, u in (0, 1) from 52 bits (kernels/logits_noise.hpp has the mapping).
[[nodiscard]] double gumbel_noise(LogitQuery const& query, TokenId token);

}  // namespace longhaul::kernels
