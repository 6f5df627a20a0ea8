#pragma once

#include "base/range.hpp"
#include "base/types.hpp"

#include <cstdint>
#include <string>

namespace longhaul::schedule {

/// Stands in a prompt for an entry that is an embedding; no vocabulary has it.
inline constexpr TokenId kEmbeddingEntry = -1;

/// Consecutive entries of a sequence whose embeddings are rows of a file instead of the model's own. The prompt holds
/// kEmbeddingEntry at their indices, so the scheduler need not tell them from tokens.
struct EmbeddingSpan {
    std::int64_t begin = 0;       ///< index of the first entry
    std::int64_t num_rows = 0;    ///< entries
    std::string file;             ///< where every rank of the first stage can read it
    std::int64_t first_row = 0;   ///< row of the file at `begin`
    std::int64_t file_bytes = 0;  ///< the file as it was when its hash was taken
    std::int64_t file_modified_ns = 0;
    std::uint64_t hash_low =
        0;  ///< over the file's rows: with the row it names the entry's content
    std::uint64_t hash_high = 0;

    [[nodiscard]] Range range() const { return {begin, begin + num_rows}; }

    friend bool operator==(EmbeddingSpan const&, EmbeddingSpan const&) = default;
};

}  // namespace longhaul::schedule
