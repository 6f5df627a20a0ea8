#include "text/pretokenizer.hpp"

#include "base/error.hpp"
#include "text/gpt2_pretokenizer.hpp"
#include "text/regex_pretokenizer.hpp"
#include "text/unicode_class.hpp"
#include "unit/text/text_fixture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace longhaul::text {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::int64_t> starts(PreTokenizer const& pretokenizer, std::string_view text) {
    std::vector<PreToken> pieces;
    pretokenizer.split(text, 0, pieces);
    std::vector<std::int64_t> result;
    result.reserve(pieces.size());
    for (PreToken const& piece : pieces) {
        result.push_back(piece.byte_begin);
    }
    return result;
}

std::vector<std::string> pieces(std::string const& name, std::string const& text) {
    std::vector<std::string> result;
    auto const cuts = starts(*make_pretokenizer(name, ""), text);
    for (std::size_t i = 0; i < cuts.size(); ++i) {
        std::size_t const end =
            i + 1 < cuts.size() ? static_cast<std::size_t>(cuts[i + 1]) : text.size();
        result.push_back(text.substr(static_cast<std::size_t>(cuts[i]),
                                     end - static_cast<std::size_t>(cuts[i])));
    }
    return result;
}

// Letters and numbers that utf8proc knows and PCRE2, of an older Unicode, does not; unicode_class_test looks at them.
bool has_newer_characters(std::string_view text) {
    static RegexPreTokenizer const unassigned({R"([!\p{Cn}]+)"});
    for (std::int64_t at = 0; at < static_cast<std::int64_t>(text.size());) {
        CodePoint const point = code_point_at(text, at);
        std::string const probe =
            "!" + std::string(text.substr(static_cast<std::size_t>(at),
                                          static_cast<std::size_t>(point.size)));
        if (classify(point.value) != CharClass::other && starts(unassigned, probe).size() == 1 &&
            point.value != '!') {
            return true;
        }
        at += point.size;
    }
    return false;
}

struct Pair {
    char const* name;
    Gpt2PreTokenizer fast;
    RegexPreTokenizer oracle;
};

std::vector<std::unique_ptr<Pair>> const& pairs() {
    static std::vector<std::unique_ptr<Pair>> const all = [] {
        std::vector<std::unique_ptr<Pair>> list;
        list.emplace_back(new Pair{"gpt-2", Gpt2PreTokenizer(Digits::grouped),
                                   RegexPreTokenizer({kGpt2Pattern})});
        list.emplace_back(new Pair{"smollm", Gpt2PreTokenizer(Digits::apart),
                                   RegexPreTokenizer({kDigitPattern, kGpt2Pattern})});
        return list;
    }();
    return all;
}

TEST(PreTokenizer, CutsByHand) {
    EXPECT_THAT(pieces("gpt-2", "Hello  world's 12\n\n  x"),
                ElementsAre("Hello", " ", " world", "'s", " 12", "\n\n ", " x"));
    EXPECT_THAT(pieces("smollm", "a 12\n\n  1 x"),
                ElementsAre("a", " ", "1", "2", "\n\n  ", "1", " x"));
    EXPECT_THAT(pieces("gpt-2", "a  "), ElementsAre("a", "  "));
    EXPECT_THAT(pieces("gpt-2", "''ll'l"), ElementsAre("''", "ll", "'", "l"));
    EXPECT_THAT(pieces("gpt-2", ""), ElementsAre());
}

TEST(PreTokenizer, HandWrittenMatcherEqualsRegex) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        RandomText random(seed);
        for (int round = 0; round < 1500; ++round) {
            std::string const text = random(random.below(24));
            if (has_newer_characters(text)) {
                continue;
            }
            for (auto const& pair : pairs()) {
                ASSERT_EQ(starts(pair->fast, text), starts(pair->oracle, text))
                    << pair->name << " seed " << seed << " '" << text << "'";
            }
        }
    }
}

TEST(PreTokenizer, LookEndIsSoundAndTight) {
    for (auto const& pair : pairs()) {
        RandomText random(5);
        for (int round = 0; round < 3000; ++round) {
            std::string const text = random(1 + random.below(8));
            std::string const other = text + random(1 + random.below(4));
            std::vector<PreToken> a;
            std::vector<PreToken> b;
            pair->fast.split(text, 100, a);
            pair->fast.split(other, 100, b);
            std::int64_t const known = 100 + static_cast<std::int64_t>(text.size());
            for (std::size_t i = 0; i < a.size() && a[i].look_end <= known; ++i) {
                ASSERT_LT(i, b.size());
                ASSERT_EQ(a[i].byte_begin, b[i].byte_begin)
                    << pair->name << " '" << text << "' '" << other << "'";
                ASSERT_EQ(a[i].look_end, b[i].look_end);
                std::int64_t const end_a = i + 1 < a.size() ? a[i + 1].byte_begin : known;
                std::int64_t const end_b = i + 1 < b.size()
                                               ? b[i + 1].byte_begin
                                               : 100 + static_cast<std::int64_t>(other.size());
                ASSERT_EQ(end_a, end_b) << pair->name << " '" << text << "' '" << other << "'";
            }
        }
    }
}

TEST(PreTokenizer, LongRunsTakeLinearTime) {
    for (std::string const unit : {"a", " ", "\n", "1", "'", " \u3000", "é", "!"}) {
        std::string text;
        while (text.size() < 1'000'000) {
            text += unit;
        }
        for (auto const& pair : pairs()) {
            EXPECT_EQ(starts(pair->fast, text), starts(pair->oracle, text)) << pair->name << unit;
        }
    }
}

TEST(PreTokenizer, RegexKeepsWhatLiesBetweenMatches) {
    RegexPreTokenizer const words({"[a-z]+"});
    EXPECT_THAT(starts(words, "ab, cd!"), ElementsAre(0, 2, 4, 6));
    RegexPreTokenizer const empty_matches({"x*"});
    EXPECT_THAT(starts(empty_matches, "éxxé"), ElementsAre(0, 2, 4));
}

TEST(PreTokenizer, RefusesByName) {
    auto const message = [](std::string const& name, std::string const& pattern) -> std::string {
        try {
            auto const made = make_pretokenizer(name, pattern);
        } catch (ValidationError const& error) {
            return error.what();
        }
        return "accepted";
    };
    EXPECT_THAT(message("llama-bpe", ""), HasSubstr("'llama-bpe' is not known"));
    // llama.cpp cuts by another pattern there.
    EXPECT_THAT(message("default", ""), HasSubstr("'default' is not known"));
    EXPECT_THAT(message("default", ""), HasSubstr("'gpt-2' or 'smollm'"));
    EXPECT_THAT(message("regex", ""), HasSubstr("'regex'"));
    EXPECT_THAT(message("regex", R"(\C+)"), HasSubstr("\\C"));  // would cut inside of a code point
    EXPECT_THAT(message("regex", "(a"), HasSubstr("missing closing parenthesis at offset 2"));
    EXPECT_EQ(message("regex", "a"), "accepted");
}

TEST(PreTokenizer, PatternWithoutEndIsAnError) {
    RegexPreTokenizer const hostile({"(?:(?:a|a)+)+\\d"});
    std::vector<PreToken> out;
    EXPECT_THROW(hostile.split(std::string(60, 'a'), 0, out), ValidationError);
}

}  // namespace
}  // namespace longhaul::text
