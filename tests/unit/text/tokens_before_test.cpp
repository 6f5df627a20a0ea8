#include "base/error.hpp"
#include "text/chat_template.hpp"
#include "unit/text/text_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace longhaul::text {
namespace {

std::vector<TokenId> prefix(Encoding const& encoding, std::int64_t tokens) {
    return {encoding.ids.begin(), encoding.ids.begin() + tokens};
}

// Without user-defined tokens, whose possible beginnings make the end of every text less certain.
Tokenizer without_added_tokens(char const* pre_tokenizer) {
    TokenizerSpec spec = load_tokenizer_json(kSmallTokenizer);
    spec.pre_tokenizer = pre_tokenizer;
    spec.token_types.clear();
    return Tokenizer(std::move(spec));
}

// Two encodings of texts that share their first `offset` bytes must agree on what is certain there.
void expect_same_prefix(Encoding const& a, Encoding const& b, std::int64_t offset,
                        std::string const& what) {
    std::int64_t const tokens = tokens_before(a, offset);
    ASSERT_EQ(tokens, tokens_before(b, offset)) << what;
    ASSERT_EQ(prefix(a, tokens), prefix(b, tokens)) << what;
}

TEST(TokensBefore, DoesNotDependOnWhatFollows) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        RandomText random(seed);
        for (int round = 0; round < 1500; ++round) {
            std::string const document = random(random.below(14));
            std::string const a = document + random(random.below(5));
            std::string const b = document + random(random.below(5));
            auto const offset = static_cast<std::int64_t>(document.size());
            std::string const what = fmt::format("seed {} '{}' '{}'", seed, a, b);
            for (std::string const name : {"smollm", "gpt-2"}) {
                Tokenizer const& tokenizer = small_tokenizer(name);
                for (SpecialTokens const mode : {SpecialTokens::parse, SpecialTokens::plain_text}) {
                    expect_same_prefix(tokenizer.encode(a, mode), tokenizer.encode(b, mode), offset,
                                       what);
                }
            }
        }
    }
}

// The same where template and message alternate, cut anywhere, in the template parts, too.
TEST(TokensBefore, DoesNotDependOnWhatFollowsInAChat) {
    for (std::uint64_t seed = 11; seed <= 14; ++seed) {
        RandomText random(seed);
        auto const pieces = [&](std::int64_t count) {
            std::vector<TextPiece> result;
            for (std::int64_t i = 0; i < count; ++i) {
                result.push_back(
                    {.text = random(1 + random.below(4)), .from_message = random.below(2) == 0});
            }
            return result;
        };
        for (int round = 0; round < 2000; ++round) {
            std::vector<TextPiece> const shared = pieces(1 + random.below(4));
            std::int64_t offset = 0;
            for (TextPiece const& piece : shared) {
                offset += static_cast<std::int64_t>(piece.text.size());
            }
            auto const continued = [&] {
                std::vector<TextPiece> whole = shared;
                whole.back().text += random(random.below(3));
                auto const more = pieces(random.below(3));
                whole.insert(whole.end(), more.begin(), more.end());
                return encode_chat(small_tokenizer(), whole);
            };
            expect_same_prefix(continued(), continued(), offset, "seed " + std::to_string(seed));
        }
    }
}

// Certain does not mean empty: in ordinary text all but the last word or two are.
TEST(TokensBefore, LeavesOutLittle) {
    Tokenizer const tokenizer = without_added_tokens("smollm");
    std::string const document = "In the beginning God created the heaven and the earth.";
    Encoding const encoding =
        tokenizer.encode(document + "\n\nSummarise.", SpecialTokens::plain_text);
    std::int64_t const tokens = tokens_before(encoding, static_cast<std::int64_t>(document.size()));
    EXPECT_EQ(tokenizer.decode(prefix(encoding, tokens)),
              "In the beginning God created the heaven and the earth");
    EXPECT_EQ(tokens_before(encoding, 0), 0);
    EXPECT_EQ(tokens_before(encoding, 1'000'000), static_cast<std::int64_t>(encoding.ids.size()));
}

TEST(TokensBefore, TakesTheLastPreTokenOnlyIfItIsComplete) {
    RandomText random(17);
    Tokenizer const tokenizer = without_added_tokens("gpt-2");
    for (int round = 0; round < 1500; ++round) {
        std::string const text = random(1 + random.below(20));
        Encoding const encoding = tokenizer.encode(text, SpecialTokens::plain_text);
        std::int64_t const offset = 1 + random.below(static_cast<std::int64_t>(text.size()));
        auto const after =
            std::find_if(encoding.pretokens.begin(), encoding.pretokens.end(),
                         [&](PreToken const& piece) { return piece.byte_begin >= offset; });
        PreToken const& last = *std::prev(after);
        bool const contraction =
            text[static_cast<std::size_t>(last.byte_begin)] == '\'' && last.look_end == offset;
        if (!contraction) {
            ASSERT_LE(tokens_before(encoding, offset), last.token_begin) << text << ' ' << offset;
        }
    }
}

// Naming the last pre-token of the text as it stands would not do: what follows can move the border before it.
TEST(TokensBefore, ContractionsAndBlanksWaitForWhatFollows) {
    Tokenizer const tokenizer = without_added_tokens("gpt-2");
    EXPECT_EQ(tokens_before(tokenizer.encode("'l", SpecialTokens::plain_text), 2), 0);
    EXPECT_EQ(tokens_before(tokenizer.encode("'ll", SpecialTokens::plain_text), 2), 0);
    EXPECT_EQ(tokens_before(tokenizer.encode("a  b", SpecialTokens::plain_text), 3), 1);
    EXPECT_EQ(tokens_before(tokenizer.encode("a   ", SpecialTokens::plain_text), 3), 1);
}

}  // namespace
}  // namespace longhaul::text
