#pragma once

#include "base/range.hpp"
#include "kernels/logits_noise.hpp"

#include <cuda_runtime_api.h>

#include <cstdint>

namespace longhaul::kernels::cuda {

/// Logits of num_rows rows over a slice of the vocabulary.
struct LogitRows {
    float const* logits = nullptr;
    Range vocab;
    std::int64_t num_rows = 0;

    [[nodiscard]] constexpr float const* row(std::int64_t i) const {
        return logits + i * vocab.size();
    }
};

/// Rows are cut into chunks of this many logits, so that one row keeps many multiprocessors busy.
inline constexpr std::int64_t kLogitChunk = 4096;

/// A query as the kernels want it.
struct Choice {
    GumbelNoise noise;
    double temperature = 0.0;
    TokenId target = -1;
    bool sample = false;
};

struct Candidate {
    double score;
    TokenId id;  ///< -1: none
};

/// Summary of a chunk, later of a row.
struct Part {
    double sum_exp;
    Candidate chosen;
    float max;
    bool finite;
};

/// What the host downloads for a row.
struct RowResult {
    Part whole;
    float target_logit;
    float chosen_logit;
};

/// Everything but the largest logits: results [num_rows]. parts [num_rows, chunks] is scratch.
void summarize_rows(LogitRows const& rows, Choice const* choices, Part* parts, RowResult* results,
                    cudaStream_t stream);

/// The largest logits of one row.
struct TopQuery {
    std::int64_t row = 0;
    int count = 0;  ///< at most the slice's size
};
inline constexpr int kMaxTop = 1024;

/// top [num_queries][kMaxTop]: the first `count` entries of each in the order of LogitSummary::top. A row with a NaN gives
/// some order.
void find_top(LogitRows const& rows, TopQuery const* queries, std::int64_t num_queries,
              ScoredToken* top, cudaStream_t stream);

}  // namespace longhaul::kernels::cuda
