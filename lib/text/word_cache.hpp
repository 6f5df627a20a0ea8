#pragma once

#include "base/types.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace longhaul::text {

class BpeModel;

/// Remembers the tokens of short words during one encode call. Keys point into the text, so it must outlive the cache.
class WordCache {
  public:
    explicit WordCache(BpeModel const& model);

    /// Appends the tokens of `word`.
    void encode_word(std::string_view word, std::vector<TokenId>& out);

  private:
    struct Entry {
        std::uint64_t hash = 0;
        char const* word = nullptr;  // null: free
        std::uint32_t size = 0;
        std::uint32_t count = 0;
        std::size_t begin = 0;  // in tokens_
    };

    [[nodiscard]] Entry* entry_of(std::string_view word, std::uint64_t hash);
    void grow();

    BpeModel const& model_;
    std::vector<Entry> entries_;  // open addressing, at most half full
    std::size_t used_ = 0;
    std::vector<TokenId> tokens_;
};

}  // namespace longhaul::text
