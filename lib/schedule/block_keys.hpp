#pragma once

#include "base/types.hpp"
#include "schedule/embedding_span.hpp"
#include "schedule/kv_ledger.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace longhaul::schedule {

/// Key of a block: the hash of the key before it and of the block's entries, so it stands for all entries up to its last one.
/// A block that is not full has a key, too. 128 bits: equal keys are taken for equal content, in memory and on disk.
/// `entries` are those from `first` on; those that are rows of a file count with the file's content and their rows.
[[nodiscard]] BlockKey next_block_key(BlockKey const& previous, std::span<TokenId const> entries,
                                      std::int64_t first,
                                      std::span<EmbeddingSpan const> embeddings);

/// Keys of the whole blocks [0, num_blocks) of a sequence.
[[nodiscard]] std::vector<BlockKey> block_keys(std::span<TokenId const> tokens,
                                               std::int64_t num_blocks, std::int64_t block_slots,
                                               std::span<EmbeddingSpan const> embeddings = {});

/// Keys by which a document that covers `tokens`, a whole number of blocks, is shared between sequences. Blocks are shared
/// by whole units of `unit_blocks`, and a key stands for all tokens up to the end of its block's unit (or of the tokens): what
/// is taken over ends where a prefill chunk does, and had been computed in chunks of the same size.
[[nodiscard]] std::vector<BlockKey> prefix_keys(std::span<TokenId const> tokens,
                                                std::int64_t block_slots, std::int64_t unit_blocks,
                                                std::span<EmbeddingSpan const> embeddings = {});

}  // namespace longhaul::schedule
