#pragma once

#include "base/range.hpp"
#include "base/types.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace longhaul::text {

/// Tokens that are looked for in the text before anything else: control tokens and user-defined ones.
class AddedTokens {
  public:
    enum class Kind : std::uint8_t { control, user_defined };

    /// Requires a text that is not empty.
    void add(std::string_view token_text, TokenId id, Kind kind);

    struct Match {
        Range bytes;
        TokenId id = -1;
    };

    /// Longest token at the first place at or after `from` where one stands; a control token counts only wholly inside one of
    /// `control_ranges` (ascending, disjoint). Cost: linear in the distance times the longest token.
    [[nodiscard]] std::optional<Match> find(std::string_view text, std::int64_t from,
                                            std::span<Range const> control_ranges) const;

    /// First offset past the bytes that can tell whether an added token begins before `look_end`; see PreToken::look_end.
    [[nodiscard]] std::int64_t extend_look(std::int64_t look_end,
                                           std::span<Range const> control_ranges) const;

  private:
    // A node of the trie; children hang in edges_ under node << 8 | byte.
    struct Node {
        TokenId control = -1;
        TokenId user_defined = -1;
    };

    [[nodiscard]] std::optional<Match> match_at(std::string_view text, std::int64_t begin,
                                                std::int64_t control_end) const;

    std::vector<Node> nodes_{Node{}};
    std::unordered_map<std::uint64_t, std::uint32_t> edges_;
    std::array<bool, 256> starts_{};
    std::int64_t longest_control_ = 0;
    std::int64_t longest_user_defined_ = 0;
};

}  // namespace longhaul::text
