#include "schedule/block_keys.hpp"

#define XXH_INLINE_ALL
#include "base/error.hpp"

#include <xxhash.h>

#include <algorithm>
#include <array>

namespace longhaul::schedule {
namespace {

BlockKey to_key(XXH128_hash_t hash) { return {hash.low64, hash.high64}; }

// Which rows of which content the entries are.
void hash_embeddings(XXH3_state_t& state, Range entries,
                     std::span<EmbeddingSpan const> embeddings) {
    for (EmbeddingSpan const& span : embeddings) {
        std::int64_t const begin = std::max(entries.begin, span.range().begin);
        std::int64_t const end = std::min(entries.end, span.range().end);
        if (begin < end) {
            std::array<std::int64_t, 3> const place{begin - entries.begin, end - entries.begin,
                                                    span.first_row + begin - span.begin};
            std::array<std::uint64_t, 2> const content{span.hash_low, span.hash_high};
            XXH3_128bits_update(&state, place.data(), sizeof place);
            XXH3_128bits_update(&state, content.data(), sizeof content);
        }
    }
}

BlockKey hash_block(BlockKey const& unit, std::int64_t block) {
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, &unit, sizeof unit);
    XXH3_128bits_update(&state, &block, sizeof block);
    return to_key(XXH3_128bits_digest(&state));
}

std::span<TokenId const> part(std::span<TokenId const> tokens, std::int64_t begin,
                              std::int64_t end) {
    return tokens.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

}  // namespace

BlockKey next_block_key(BlockKey const& previous, std::span<TokenId const> entries,
                        std::int64_t first, std::span<EmbeddingSpan const> embeddings) {
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, &previous, sizeof previous);
    XXH3_128bits_update(&state, entries.data(), entries.size_bytes());
    hash_embeddings(state, {first, first + static_cast<std::int64_t>(entries.size())}, embeddings);
    return to_key(XXH3_128bits_digest(&state));
}

std::vector<BlockKey> block_keys(std::span<TokenId const> tokens, std::int64_t num_blocks,
                                 std::int64_t block_slots,
                                 std::span<EmbeddingSpan const> embeddings) {
    LH_EXPECT(num_blocks * block_slots <= static_cast<std::int64_t>(tokens.size()));
    std::vector<BlockKey> keys;
    keys.reserve(static_cast<std::size_t>(num_blocks));
    BlockKey previous;
    for (std::int64_t begin = 0; begin < num_blocks * block_slots; begin += block_slots) {
        previous =
            next_block_key(previous, part(tokens, begin, begin + block_slots), begin, embeddings);
        keys.push_back(previous);
    }
    return keys;
}

std::vector<BlockKey> prefix_keys(std::span<TokenId const> tokens, std::int64_t block_slots,
                                  std::int64_t unit_blocks,
                                  std::span<EmbeddingSpan const> embeddings) {
    auto const count = static_cast<std::int64_t>(tokens.size());
    LH_EXPECT(count % block_slots == 0);
    std::vector<BlockKey> keys;
    BlockKey unit;
    for (std::int64_t begin = 0; begin < count; begin += unit_blocks * block_slots) {
        std::int64_t const end = std::min(count, begin + unit_blocks * block_slots);
        unit = next_block_key(unit, part(tokens, begin, end), begin, embeddings);
        for (std::int64_t block = begin / block_slots; block < end / block_slots; ++block) {
            keys.push_back(hash_block(unit, block));
        }
    }
    return keys;
}

}  // namespace longhaul::schedule
