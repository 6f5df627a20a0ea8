#include "text/word_cache.hpp"

#include "text/bpe.hpp"

#include <cstring>
#include <utility>

namespace longhaul::text {
namespace {

constexpr std::size_t kFirstEntries = 256;
constexpr std::size_t kMaxEntries = std::size_t{1} << 18;  // 10 MB; a full cache starts again
constexpr std::size_t kMaxWord = 64;                       // longer words hardly repeat

std::uint64_t mix(std::uint64_t value) {
    value *= 0x9e3779b97f4a7c15ULL;
    return value ^ (value >> 32);
}

std::uint64_t hash_word(std::string_view word) {
    std::uint64_t hash = word.size();
    while (word.size() >= 8) {
        std::uint64_t part = 0;
        std::memcpy(&part, word.data(), 8);
        hash = mix(hash ^ part);
        word.remove_prefix(8);
    }
    std::uint64_t part = 0;
    std::memcpy(&part, word.data(), word.size());
    return mix(hash ^ part);
}

}  // namespace

WordCache::WordCache(BpeModel const& model) : model_(model), entries_(kFirstEntries) {}

WordCache::Entry* WordCache::entry_of(std::string_view word, std::uint64_t hash) {
    std::size_t slot = hash & (entries_.size() - 1);
    while (true) {
        Entry& entry = entries_[slot];
        if (entry.word == nullptr ||
            (entry.hash == hash && std::string_view(entry.word, entry.size) == word)) {
            return &entry;
        }
        slot = (slot + 1) & (entries_.size() - 1);
    }
}

void WordCache::grow() {
    if (entries_.size() == kMaxEntries) {
        entries_.assign(kFirstEntries, Entry{});
        tokens_.clear();
        used_ = 0;
        return;
    }
    std::vector<Entry> const old = std::exchange(entries_, std::vector<Entry>(entries_.size() * 2));
    for (Entry const& entry : old) {
        if (entry.word != nullptr) {
            *entry_of({entry.word, entry.size}, entry.hash) = entry;
        }
    }
}

void WordCache::encode_word(std::string_view word, std::vector<TokenId>& out) {
    if (word.size() > kMaxWord) {
        model_.encode_word(word, out);
        return;
    }
    std::uint64_t const hash = hash_word(word);
    Entry* entry = entry_of(word, hash);
    if (entry->word == nullptr) {
        if (2 * (used_ + 1) > entries_.size()) {
            grow();
            entry = entry_of(word, hash);
        }
        std::size_t const begin = tokens_.size();
        model_.encode_word(word, tokens_);
        *entry = {hash, word.data(), static_cast<std::uint32_t>(word.size()),
                  static_cast<std::uint32_t>(tokens_.size() - begin), begin};
        ++used_;
    }
    auto const first = tokens_.begin() + static_cast<std::ptrdiff_t>(entry->begin);
    out.insert(out.end(), first, first + entry->count);
}

}  // namespace longhaul::text
