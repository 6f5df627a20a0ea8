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
