#include "text/added_tokens.hpp"

#include "base/checked.hpp"

#include <algorithm>
#include <iterator>

namespace longhaul::text {
namespace {

constexpr std::uint64_t edge_key(std::uint32_t node, char byte) {
    return (std::uint64_t{node} << 8) | static_cast<unsigned char>(byte);
}

}  // namespace

void AddedTokens::add(std::string_view token_text, TokenId id, Kind kind) {
    LH_EXPECT(!token_text.empty());
    std::uint32_t node = 0;
    for (char const byte : token_text) {
        auto const [edge, fresh] =
            edges_.try_emplace(edge_key(node, byte), checked_cast<std::uint32_t>(nodes_.size()));
        if (fresh) {
            nodes_.emplace_back();
        }
        node = edge->second;
    }
    starts_[static_cast<unsigned char>(token_text.front())] = true;
    auto const size = static_cast<std::int64_t>(token_text.size());
    if (kind == Kind::control) {
        nodes_[node].control = id;
        longest_control_ = std::max(longest_control_, size);
    } else {
        nodes_[node].user_defined = id;
        longest_user_defined_ = std::max(longest_user_defined_, size);
    }
}

std::optional<AddedTokens::Match> AddedTokens::match_at(std::string_view text, std::int64_t begin,
                                                        std::int64_t control_end) const {
    std::optional<Match> longest;
    std::uint32_t node = 0;
    for (std::int64_t at = begin; at < static_cast<std::int64_t>(text.size());) {
        auto const edge = edges_.find(edge_key(node, text[static_cast<std::size_t>(at)]));
        if (edge == edges_.end()) {
            break;
        }
        node = edge->second;
        ++at;
        TokenId const id = at <= control_end && nodes_[node].control >= 0
                               ? nodes_[node].control
                               : nodes_[node].user_defined;
        if (id >= 0) {
            longest = Match{{begin, at}, id};
        }
    }
    return longest;
}

std::optional<AddedTokens::Match> AddedTokens::find(std::string_view text, std::int64_t from,
                                                    std::span<Range const> control_ranges) const {
    auto const end = static_cast<std::int64_t>(text.size());
    auto range =
        std::partition_point(control_ranges.begin(), control_ranges.end(),
                             [&](Range const& candidate) { return candidate.end <= from; });
    for (std::int64_t at = from; at < end; ++at) {
        while (range != control_ranges.end() && range->end <= at) {
            ++range;
        }
        bool const inside = range != control_ranges.end() && range->contains(at);
        if (!inside && longest_user_defined_ == 0) {
            if (range == control_ranges.end()) {
                return std::nullopt;
            }
            at = range->begin;
        }
        if (!starts_[static_cast<unsigned char>(text[static_cast<std::size_t>(at)])]) {
            continue;
        }
        std::int64_t const control_end =
            range != control_ranges.end() && range->contains(at) ? range->end : -1;
        if (auto const match = match_at(text, at, control_end)) {
            return match;
        }
    }
    return std::nullopt;
}

std::int64_t AddedTokens::extend_look(std::int64_t look_end,
                                      std::span<Range const> control_ranges) const {
    std::int64_t extended = look_end + std::max<std::int64_t>(longest_user_defined_ - 1, 0);
    auto const beyond =
        std::partition_point(control_ranges.begin(), control_ranges.end(),
                             [&](Range const& range) { return range.begin < look_end; });
    if (beyond != control_ranges.begin() && longest_control_ > 0) {
        // A control token cannot leave its range, and seeing the range end reads one byte more.
        extended = std::max(extended,
                            std::min(look_end + longest_control_ - 1, std::prev(beyond)->end + 1));
    }
    return extended;
}

}  // namespace longhaul::text
