#pragma once

#include "base/types.hpp"
#include "engine/bench_rank.hpp"

#include <cstdint>

namespace longhaul::app {

/// Work that a rank's share of a model takes by its shape.
class ModelWork {
  public:
    ModelWork(engine::BenchRank const& rank, DType dtype);

    /// Of `rows` entries behind `context` others, each of which sees all before it, with logits for `sampled` of them.
    [[nodiscard]] double flop(std::int64_t rows, std::int64_t context, std::int64_t sampled) const;
    /// Read by one step that decodes `batch` sequences behind `context` entries.
    [[nodiscard]] double decode_bytes(std::int64_t batch, double context) const;

  private:
    double kvp_;
    std::int64_t bytes_;
    std::int64_t attention_ = 0;
    std::int64_t kv_ = 0;
    std::int64_t layers_ = 0;
    std::int64_t head_ = 0;
};

}  // namespace longhaul::app
