#include "text/bpe.hpp"

#include "base/error.hpp"
#include "text/byte_alphabet.hpp"
#include "text/word_cache.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace longhaul::text {
namespace {

// A vocabulary over the letters a-d with random merges, and the textbook algorithm on strings.
struct RandomBpe {
    std::vector<std::string> tokens;
    std::vector<std::string> merges;
    std::map<std::pair<std::string, std::string>, std::size_t> ranks;

    explicit RandomBpe(std::uint64_t seed) : tokens{"a", "b", "c", "d"} {
        std::mt19937_64 random(seed);
        std::set<std::string> known(tokens.begin(), tokens.end());
        for (int i = 0; i < 40; ++i) {
            std::string const left = tokens[random() % tokens.size()];
            std::string const right = tokens[random() % tokens.size()];
            if (!ranks.try_emplace({left, right}, merges.size()).second) {
                continue;
            }
            merges.push_back(std::string(left).append(" ").append(right));
            if (known.insert(left + right).second) {
                tokens.push_back(left + right);
            }
        }
    }

    TokenIndex index() const {
        TokenIndex result;
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            result.emplace(tokens[i], static_cast<TokenId>(i));
        }
        return result;
    }

    std::vector<TokenId> encode(std::string const& word) const {
        std::vector<std::string> parts;
        for (char const letter : word) {
            parts.emplace_back(1, letter);
        }
        while (true) {
            std::size_t best = parts.size();
            std::size_t best_rank = merges.size();
            for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
                auto const found = ranks.find({parts[i], parts[i + 1]});
                if (found != ranks.end() && found->second < best_rank) {
                    best = i;
                    best_rank = found->second;
                }
            }
            if (best == parts.size()) {
                break;
            }
            parts[best] += parts[best + 1];
            parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
        }
        std::vector<TokenId> ids;
        ids.reserve(parts.size());
        TokenIndex const ids_by_text = index();
        for (std::string const& part : parts) {
            ids.push_back(ids_by_text.at(part));
        }
        return ids;
    }
};

TEST(Bpe, EqualsTextbookAlgorithm) {
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        RandomBpe const reference(seed);
        TokenIndex const index = reference.index();
        BpeModel const model(index, reference.merges, -1);
        std::mt19937_64 random(seed * 77);
        for (int round = 0; round < 60; ++round) {
            std::string word;
            for (std::uint64_t i = random() % (round % 4 == 0 ? 200 : 20); i > 0; --i) {
                word.push_back("abcd"[random() % (1 + random() % 4)]);
            }
            std::vector<TokenId> ids;
            model.encode_word(word, ids);
            ASSERT_EQ(ids, reference.encode(word)) << "seed " << seed << " word " << word;
        }
    }
}

TEST(Bpe, CacheChangesNothingAndForgets) {
    RandomBpe const reference(3);
    TokenIndex const index = reference.index();
    BpeModel const model(index, reference.merges, -1);
    std::mt19937_64 random(9);
    std::string text(400'000, 'a');
    for (char& letter : text) {
        letter = "abcd"[random() % 4];
    }
    WordCache cache(model);
    for (std::size_t at = 0; at + 80 < text.size();) {
        std::string_view const word =
            std::string_view(text).substr(at, 1 + random() % (at % 50 == 0 ? 80 : 7));
        std::vector<TokenId> cached{7};
        std::vector<TokenId> direct{7};
        cache.encode_word(word, cached);
        model.encode_word(word, direct);
        ASSERT_EQ(cached, direct) << word;
        at += word.size();
    }
}

TEST(Bpe, BytesWithoutATokenVanishOrStandIn) {
    TokenIndex const index{{"a", 0}, {"b", 1}, {"ab", 2}, {"?", 3}};
    std::vector<TokenId> ids;
    BpeModel(index, {"a b"}, -1).encode_word("azb", ids);
    EXPECT_EQ(ids, (std::vector<TokenId>{2}));
    ids.clear();
    BpeModel(index, {"a b"}, 3).encode_word("azb", ids);
    EXPECT_EQ(ids, (std::vector<TokenId>{0, 3, 1}));
    ids.clear();
    BpeModel(index, {"a b"}, -1).encode_word(std::string(100, 'z'), ids);
    EXPECT_TRUE(ids.empty());
}

TEST(Bpe, RefusesBrokenMerges) {
    TokenIndex const index{{"a", 0}, {"b", 1}, {"ab", 2}};
    for (std::string const merge : {"", " ", "a", "a ", "ab", " a", "a c", "c a", "b a"}) {
        EXPECT_THROW(BpeModel(index, {merge}, -1), ValidationError) << '\'' << merge << '\'';
    }
}

TEST(ByteAlphabet, IsGpt2s) {
    std::set<std::string_view> letters;
    std::string all;
    for (int byte = 0; byte < 256; ++byte) {
        auto const letter = byte_letter(static_cast<std::uint8_t>(byte));
        letters.insert(letter);
        EXPECT_EQ(bytes_of_letters(letter), std::string(1, static_cast<char>(byte)));
    }
    EXPECT_EQ(letters.size(), 256U);
    EXPECT_EQ(byte_letter(' '), "Ġ");
    EXPECT_EQ(byte_letter('\n'), "Ċ");
    EXPECT_EQ(byte_letter(0), "Ā");
    EXPECT_EQ(byte_letter(0xad), "Ń");
    EXPECT_EQ(byte_letter('A'), "A");
    EXPECT_EQ(bytes_of_letters("ĠtheÃ©"), " theé");
    EXPECT_EQ(bytes_of_letters("a b"), std::nullopt);
    EXPECT_EQ(bytes_of_letters("漢"), std::nullopt);
    EXPECT_EQ(bytes_of_letters("\xff"), std::nullopt);
}

}  // namespace
}  // namespace longhaul::text
