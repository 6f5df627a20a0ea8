#pragma once

#include "base/types.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace longhaul::text {

using TokenIndex = std::unordered_map<std::string_view, TokenId>;

/// Merges the bytes of one word, best-ranked pair first, leftmost among equals.
class BpeModel {
  public:
    /// `index` maps stored token texts to ids. missing_byte_token: see TokenizerSpec.
    /// Errors: ValidationError for a merge that is no pair, or whose parts or result are not in the vocabulary.
    BpeModel(TokenIndex const& index, std::vector<std::string> const& merges,
             TokenId missing_byte_token);

    /// Appends the tokens of `word`; nothing for bytes without a token.
    /// Cost: n log n in the word's length. Errors: ValidationError for a word of 2 GiB or more.
    void encode_word(std::string_view word, std::vector<TokenId>& out) const;

  private:
    // Open addressing, linear probing, at most half full.
    struct Slot {
        std::uint64_t pair = kEmpty;
        std::uint32_t rank = 0;
    };
    static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
    static constexpr std::uint32_t kNoRank = ~std::uint32_t{0};

    [[nodiscard]] std::size_t slot_of(std::uint64_t pair) const;
    [[nodiscard]] std::uint32_t rank_of(TokenId left, TokenId right) const;
    void add_merge(std::uint64_t pair, std::uint32_t rank);
    void encode_short(std::string_view word, std::vector<TokenId>& out) const;
    void encode_long(std::string_view word, std::vector<TokenId>& out) const;

    std::array<TokenId, 256> byte_token_{};
    std::vector<Slot> slots_;
    int shift_ = 0;                // of the hash, so that it indexes slots_
    std::vector<TokenId> merged_;  // by rank
};

}  // namespace longhaul::text
