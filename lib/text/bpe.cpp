#include "text/bpe.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"
#include "text/byte_alphabet.hpp"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <queue>

namespace longhaul::text {
namespace {

// Up to this length a scan over all pairs beats a heap.
constexpr std::size_t kShortWord = 40;

constexpr std::uint64_t pair_key(TokenId left, TokenId right) {
    return (std::uint64_t{static_cast<std::uint32_t>(left)} << 32) |
           static_cast<std::uint32_t>(right);
}

struct MergeParts {
    std::string_view left;
    std::string_view right;
};

MergeParts parts_of(std::string_view merge) {
    // A token may begin with the separator, but none of the byte alphabet contains one.
    std::size_t const space = merge.find(' ', 1);
    LH_VALIDATE(space != std::string_view::npos && space + 1 < merge.size(),
                "the tokenizer's merge '{}' is not a pair of tokens; the model file is damaged, "
                "fetch it again",
                merge);
    return {merge.substr(0, space), merge.substr(space + 1)};
}

TokenId id_for_merge(TokenIndex const& index, std::string_view token, std::string_view merge) {
    auto const found = index.find(token);
    LH_VALIDATE(found != index.end(),
                "the tokenizer's merge '{}' needs the token '{}', which the vocabulary lacks; the "
                "model file is damaged, "
                "fetch it again",
                merge, token);
    return found->second;
}

}  // namespace

BpeModel::BpeModel(TokenIndex const& index, std::vector<std::string> const& merges,
                   TokenId missing_byte_token) {
    for (std::size_t byte = 0; byte < byte_token_.size(); ++byte) {
        auto const found = index.find(byte_letter(static_cast<std::uint8_t>(byte)));
        byte_token_[byte] = found == index.end() ? missing_byte_token : found->second;
    }
    LH_VALIDATE(merges.size() < kNoRank,
                "the tokenizer has {} merges, more than this program can number", merges.size());
    std::size_t const capacity = std::bit_ceil(std::max<std::size_t>(16, merges.size() * 2));
    slots_.resize(capacity);
    shift_ = 64 - std::countr_zero(capacity);
    merged_.reserve(merges.size());
    for (std::string const& merge : merges) {
        MergeParts const parts = parts_of(merge);
        TokenId const left = id_for_merge(index, parts.left, merge);
        TokenId const right = id_for_merge(index, parts.right, merge);
        std::string const whole = std::string(parts.left).append(parts.right);
        add_merge(pair_key(left, right), static_cast<std::uint32_t>(merged_.size()));
        merged_.push_back(id_for_merge(index, whole, merge));
    }
}

std::size_t BpeModel::slot_of(std::uint64_t pair) const {
    // Fibonacci hashing: the multiplier is 2^64 over the golden ratio.
    std::size_t slot =
        static_cast<std::size_t>(((pair ^ (pair >> 29)) * 0x9e3779b97f4a7c15ULL) >> shift_);
    while (slots_[slot].pair != kEmpty && slots_[slot].pair != pair) {
        slot = (slot + 1) & (slots_.size() - 1);
    }
    return slot;
}

void BpeModel::add_merge(std::uint64_t pair, std::uint32_t rank) {
    // A pair listed twice keeps its last rank, as in Hugging Face tokenizers.
    slots_[slot_of(pair)] = {pair, rank};
}

std::uint32_t BpeModel::rank_of(TokenId left, TokenId right) const {
    Slot const& slot = slots_[slot_of(pair_key(left, right))];
    return slot.pair == kEmpty ? kNoRank : slot.rank;
}

void BpeModel::encode_word(std::string_view word, std::vector<TokenId>& out) const {
    if (word.size() <= kShortWord) {
        encode_short(word, out);
    } else {
        encode_long(word, out);
    }
}

void BpeModel::encode_short(std::string_view word, std::vector<TokenId>& out) const {
    std::array<TokenId, kShortWord> tokens;
    std::array<std::uint32_t, kShortWord> ranks;  // ranks[i]: of the pair (i, i + 1)
    std::size_t count = 0;
    for (char const byte : word) {
        if (TokenId const token = byte_token_[static_cast<unsigned char>(byte)]; token >= 0) {
            tokens[count++] = token;
        }
    }
    auto const rank_at = [&](std::size_t i) {
        return i + 1 < count ? rank_of(tokens[i], tokens[i + 1]) : kNoRank;
    };
    for (std::size_t i = 0; i < count; ++i) {
        ranks[i] = rank_at(i);
    }
    while (count > 1) {
        auto const best =
            std::min_element(ranks.begin(), ranks.begin() + static_cast<std::ptrdiff_t>(count));
        if (*best == kNoRank) {
            break;
        }
        std::size_t const at = static_cast<std::size_t>(best - ranks.begin());
        tokens[at] = merged_[*best];
        --count;
        for (std::size_t i = at + 1; i < count; ++i) {
            tokens[i] = tokens[i + 1];
            ranks[i] = ranks[i + 1];
        }
        ranks[at] = rank_at(at);
        if (at > 0) {
            ranks[at - 1] = rank_at(at - 1);
        }
    }
    out.insert(out.end(), tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(count));
}

void BpeModel::encode_long(std::string_view word, std::vector<TokenId>& out) const {
    LH_VALIDATE(
        word.size() < static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()),
        "a single word of {} bytes cannot be tokenised (the limit is 2 GiB); break the text up",
        word.size());
    constexpr std::int32_t kNone = -1;
    struct Symbol {
        TokenId token;  // kNone: merged into its left neighbour
        std::int32_t previous;
        std::int32_t next;
    };
    std::vector<Symbol> symbols;
    symbols.reserve(word.size());
    for (char const byte : word) {
        if (TokenId const token = byte_token_[static_cast<unsigned char>(byte)]; token >= 0) {
            auto const at = static_cast<std::int32_t>(symbols.size());
            symbols.push_back({token, at - 1, at + 1});
        }
    }
    if (symbols.empty()) {
        return;
    }
    symbols.back().next = kNone;

    // Candidates as rank << 32 | position of the left symbol: the smallest is the next merge.
    std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> candidates;
    auto const offer = [&](std::int32_t left) {
        Symbol const& symbol = symbols[static_cast<std::size_t>(left)];
        if (symbol.next == kNone) {
            return;
        }
        std::uint32_t const rank =
            rank_of(symbol.token, symbols[static_cast<std::size_t>(symbol.next)].token);
        if (rank != kNoRank) {
            candidates.push((std::uint64_t{rank} << 32) | static_cast<std::uint32_t>(left));
        }
    };
    for (std::size_t i = 0; i < symbols.size(); ++i) {
        offer(static_cast<std::int32_t>(i));
    }
    while (!candidates.empty()) {
        std::uint64_t const candidate = candidates.top();
        candidates.pop();
        auto const rank = static_cast<std::uint32_t>(candidate >> 32);
        auto const at = static_cast<std::int32_t>(candidate & 0xffffffffU);
        Symbol& left = symbols[static_cast<std::size_t>(at)];
        if (left.token == kNone || left.next == kNone) {
            continue;
        }
        Symbol& right = symbols[static_cast<std::size_t>(left.next)];
        if (rank_of(left.token, right.token) != rank) {
            continue;  // one of the two has grown since
        }
        left.token = merged_[rank];
        left.next = right.next;
        right.token = kNone;
        if (left.next != kNone) {
            symbols[static_cast<std::size_t>(left.next)].previous = at;
        }
        offer(at);
        if (left.previous != kNone) {
            offer(left.previous);
        }
    }
    for (std::int32_t at = 0; at != kNone; at = symbols[static_cast<std::size_t>(at)].next) {
        out.push_back(symbols[static_cast<std::size_t>(at)].token);
    }
}

}  // namespace longhaul::text
