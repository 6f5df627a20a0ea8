#pragma once

#include "io/kv_segment.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace longhaul::io {

/// Whether two segments may hold parts of the same blocks: they differ in layers and heads at most.
[[nodiscard]] bool same_cache(KvSegmentShape const& a, KvSegmentShape const& b);

/// Finds out whether segments hold a sequence's blocks in all layers and KV heads of the model.
class KvCoverage {
  public:
    /// `keys`: of blocks 0, 1, 2, ...; `any`: the shape of any segment, for the model's numbers.
    KvCoverage(std::span<BlockKey const> keys, KvSegmentShape const& any);

    /// Whether a piece of a segment counts: (row of its table, layer, KV head), numbers of the model.
    using IsSound = std::function<bool(std::int64_t, std::int64_t, std::int64_t)>;

    /// Takes a segment in. A block counts only at the place that its key has in the sequence, and full unless it is the last.
    /// Returns     whether it has a piece that none before it had
    /// Requires    same_cache()
    bool add(KvSegmentShape const& shape, std::span<KvSegmentBlock const> blocks,
             IsSound const& is_sound = {});

    /// How many of the blocks are of other sequences.
    [[nodiscard]] std::int64_t num_foreign(std::span<KvSegmentBlock const> blocks) const;

    /// Empty when nothing is missing, otherwise what is first and how much there is.
    [[nodiscard]] std::string missing() const;

  private:
    [[nodiscard]] std::size_t place(std::int64_t block, std::int64_t layer,
                                    std::int64_t kv_head) const;

    std::unordered_map<BlockKey, std::int64_t, BlockKeyHash> numbers_;
    std::int64_t num_blocks_;
    std::int64_t block_slots_;
    std::int64_t num_layers_;
    std::int64_t num_kv_heads_;
    std::vector<bool> found_;  // [block][layer][kv_head]
};

}  // namespace longhaul::io
