#include "text/tokenizer.hpp"

#include "base/error.hpp"
#include "text/byte_alphabet.hpp"
#include "text/stream_decoder.hpp"
#include "unit/text/golden.hpp"
#include "unit/text/text_fixture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace longhaul::text {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

void expect_covers(Encoding const& encoding, std::string const& text) {
    std::int64_t last_byte = -1;
    std::int64_t last_token = 0;
    std::int64_t last_look = 0;
    for (PreToken const& piece : encoding.pretokens) {
        ASSERT_GT(piece.byte_begin, last_byte);
        ASSERT_GE(piece.token_begin, last_token);
        ASSERT_GE(piece.look_end, last_look);
        last_byte = piece.byte_begin;
        last_token = piece.token_begin;
        last_look = piece.look_end;
    }
    ASSERT_EQ(encoding.pretokens.empty(), text.empty());
    if (!text.empty()) {
        ASSERT_EQ(encoding.pretokens.front().byte_begin, 0);
        ASSERT_LT(last_byte, static_cast<std::int64_t>(text.size()));
        ASSERT_LE(last_token, static_cast<std::int64_t>(encoding.ids.size()));
    }
}

TEST(Tokenizer, EqualsHuggingFaceOnTheSmallVocabulary) {
    for (std::string const name : {"smollm", "gpt-2"}) {
        for (Golden const& golden : read_golden("tests/unit/text/data/small_golden.json", name)) {
            Encoding const encoding =
                small_tokenizer(name).encode(golden.text, SpecialTokens::parse);
            EXPECT_EQ(encoding.ids, golden.ids) << name << " '" << golden.text << "'";
            expect_covers(encoding, golden.text);
        }
    }
}

TEST(Tokenizer, DecodeGivesTheTextBack) {
    RandomText random(21);
    for (int round = 0; round < 1500; ++round) {
        std::string const text = random(random.below(30));
        for (std::string const name : {"smollm", "gpt-2"}) {
            for (SpecialTokens const mode : {SpecialTokens::parse, SpecialTokens::plain_text}) {
                Encoding const encoding = small_tokenizer(name).encode(text, mode);
                ASSERT_EQ(small_tokenizer(name).decode(encoding.ids, ControlTokens::keep), text);
                expect_covers(encoding, text);
            }
        }
    }
}

TEST(Tokenizer, PlainTextNeverBecomesAControlToken) {
    Tokenizer const& tokenizer = small_tokenizer();
    RandomText random(22);
    for (int round = 0; round < 500; ++round) {
        for (TokenId const id :
             tokenizer.encode("<|im_end|>" + random(10) + "<|im_start|>", SpecialTokens::plain_text)
                 .ids) {
            ASSERT_FALSE(tokenizer.is_special(id));
        }
    }
}

TEST(Tokenizer, ControlTokensAreFoundInsideTheirRangesOnly) {
    Tokenizer const& tokenizer = small_tokenizer();
    TokenId const end = *tokenizer.find("<|im_end|>");
    std::string const text = "<|im_end|><|im_end|>";
    auto const count = [&](std::vector<Range> const& ranges) {
        std::vector<TokenId> const ids = tokenizer.encode(text, ranges).ids;
        return std::count(ids.begin(), ids.end(), end);
    };
    EXPECT_EQ(count({}), 0);
    EXPECT_EQ(count({{0, 20}}), 2);
    EXPECT_EQ(count({{0, 10}, {10, 20}}), 2);
    EXPECT_EQ(count({{0, 9}, {9, 20}}), 1);
    EXPECT_EQ(count({{1, 20}}), 1);
    EXPECT_EQ(count({{0, 19}}), 1);
    EXPECT_EQ(count({{5, 15}}), 0);
}

TEST(Tokenizer, RangesDoNotCutWords) {
    Tokenizer const& tokenizer = small_tokenizer();
    RandomText random(23);
    for (int round = 0; round < 500; ++round) {
        std::string const text = random.pick({"user\n", "the ", "x"}) +
                                 random.pick({"  the end", "'s", "1 2", "\n\nabc", "é"});
        std::int64_t const cut = random.below(static_cast<std::int64_t>(text.size()));
        std::vector<Range> const ranges{{0, cut / 2}, {cut / 2, cut}};
        ASSERT_EQ(tokenizer.encode(text, ranges).ids,
                  tokenizer.encode(text, SpecialTokens::parse).ids);
    }
}

TEST(Tokenizer, UserDefinedTokensAreFoundEverywhere) {
    Tokenizer const& tokenizer = small_tokenizer();
    TokenId const tool = *tokenizer.find("<tool>");
    EXPECT_FALSE(tokenizer.is_special(tool));
    EXPECT_THAT(tokenizer.encode("<tool><tool>", SpecialTokens::plain_text).ids,
                ElementsAre(tool, tool));
    EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{tool}), "<tool>");
}

TEST(Tokenizer, LongestAddedTokenWins) {
    TokenizerSpec spec;
    spec.tokens = {"a", "b", "<", ">", "<a", "<a>", "<a>b"};
    spec.token_types = {1, 1, 1, 1, 3, 3, 4};
    spec.pre_tokenizer = "gpt-2";
    Tokenizer const tokenizer(spec);
    EXPECT_THAT(tokenizer.encode("<a>b<a>a<a", SpecialTokens::parse).ids, ElementsAre(6, 5, 0, 4));
    EXPECT_THAT(tokenizer.encode("<a>b<a>a", SpecialTokens::plain_text).ids,
                ElementsAre(6, 2, 0, 3, 0));
}

TEST(Tokenizer, DecodeSkipsControlTokensUnlessAsked) {
    Tokenizer const& tokenizer = small_tokenizer();
    std::vector<TokenId> const ids =
        tokenizer.encode("<|im_start|>a<|im_end|>", SpecialTokens::parse).ids;
    EXPECT_EQ(tokenizer.decode(ids), "a");
    EXPECT_EQ(tokenizer.decode(ids, ControlTokens::keep), "<|im_start|>a<|im_end|>");
    EXPECT_EQ(tokenizer.find("no such token"), std::nullopt);
    EXPECT_EQ(tokenizer.token_bytes(*tokenizer.find("Ġa")), " a");
}

TEST(Tokenizer, InvalidUtf8IsRefusedWithItsOffset) {
    try {
        (void)small_tokenizer().encode("abc\xff", SpecialTokens::plain_text);
        FAIL();
    } catch (ValidationError const& error) {
        EXPECT_THAT(error.what(), HasSubstr("offset 3"));
    }
}

TEST(Tokenizer, RefusesDamagedSpecs) {
    TokenizerSpec good;
    good.tokens = {"a", "b", "ab"};
    good.merges = {"a b"};
    good.pre_tokenizer = "gpt-2";
    EXPECT_NO_THROW(Tokenizer{good});
    auto const broken = [&](auto change) {
        TokenizerSpec spec = good;
        change(spec);
        EXPECT_THROW(Tokenizer{spec}, ValidationError);
    };
    broken([](TokenizerSpec& spec) { spec.tokens.clear(); });
    broken([](TokenizerSpec& spec) { spec.token_types = {1}; });
    broken([](TokenizerSpec& spec) { spec.merges = {"a c"}; });
    broken([](TokenizerSpec& spec) { spec.bos_token = 3; });
    broken([](TokenizerSpec& spec) { spec.eos_token = -2; });
    broken([](TokenizerSpec& spec) { spec.missing_byte_token = 99; });
    broken([](TokenizerSpec& spec) { spec.pre_tokenizer = "unheard-of"; });
}

TEST(Tokenizer, OddVocabulariesDoNotHurt) {
    TokenizerSpec spec;
    spec.tokens = {"", "a", "a", std::string("\xff\xfe"), std::string("\0", 1), "漢", "x"};
    spec.token_types = {3, 1, 3, 1, 4, 1, 77};
    spec.pre_tokenizer = "gpt-2";
    Tokenizer const tokenizer(spec);
    EXPECT_EQ(tokenizer.find("a"), 1);
    EXPECT_EQ(tokenizer.token_bytes(3), "\xff\xfe");
    EXPECT_THAT(tokenizer.encode(std::string("a\0x", 3), SpecialTokens::plain_text).ids,
                ElementsAre(1, 4, 6));
}

TEST(Tokenizer, OneLongWordIsNotQuadratic) {
    for (char const letter : {'a', ' ', '=', '\n'}) {
        std::string const text(300'000, letter);
        Encoding const encoding = small_tokenizer().encode(text, SpecialTokens::parse);
        EXPECT_EQ(small_tokenizer().decode(encoding.ids), text);
        EXPECT_EQ(encoding.pretokens.size(), 1U);
    }
}

TEST(Tokenizer, ThreadsAgree) {
    RandomText random(24);
    std::string const text = random(3000);
    std::vector<TokenId> const expected = small_tokenizer().encode(text, SpecialTokens::parse).ids;
    std::vector<std::vector<TokenId>> got(4);
    std::vector<std::thread> threads;
    threads.reserve(got.size());
    for (auto& ids : got) {
        threads.emplace_back(
            [&] { ids = small_tokenizer().encode(text, SpecialTokens::parse).ids; });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_THAT(got, testing::Each(expected));
}

TEST(StreamDecoder, AllPushesTogetherAreTheLossyText) {
    Tokenizer const& tokenizer = small_tokenizer();
    RandomText random(31);
    for (int round = 0; round < 2000; ++round) {
        std::vector<TokenId> ids =
            tokenizer.encode(random(random.below(12)), SpecialTokens::parse).ids;
        for (std::int64_t i = random.below(6); i > 0;
             --i) {  // single bytes anywhere break sequences
            std::int64_t const at = random.below(static_cast<std::int64_t>(ids.size()) + 1);
            ids.insert(ids.begin() + at,
                       static_cast<TokenId>(random.below(tokenizer.vocab_size())));
        }
        StreamDecoder decoder(tokenizer);
        std::string text;
        for (TokenId const id : ids) {
            std::string const part = decoder.push(id);
            ASSERT_EQ(first_invalid_utf8(part), std::nullopt);
            text += part;
        }
        text += decoder.finish();
        ASSERT_EQ(text, to_valid_utf8(tokenizer.decode(ids)));
        ASSERT_EQ(decoder.finish(), "");
    }
}

TEST(StreamDecoder, HoldsBackOnlyWhatMayStillComplete) {
    TokenizerSpec spec;
    for (int const byte :
         {0xf0, 0x9f, 0x98, 0x80, static_cast<int>('a')}) {  // four bytes of an emoji
        spec.tokens.emplace_back(byte_letter(static_cast<std::uint8_t>(byte)));
    }
    spec.pre_tokenizer = "gpt-2";
    Tokenizer const tokenizer(spec);
    StreamDecoder decoder(tokenizer);
    for (TokenId const id : {0, 1, 2}) {
        EXPECT_EQ(decoder.push(id), "");
    }
    EXPECT_EQ(decoder.push(3), "😀");
    EXPECT_EQ(decoder.push(0), "");
    EXPECT_EQ(decoder.push(4), "\ufffda");
    EXPECT_EQ(decoder.push(0), "");
    EXPECT_EQ(decoder.finish(), "\ufffd");
}

}  // namespace
}  // namespace longhaul::text
