#pragma once

#include "text/tokenizer.hpp"
#include "text/tokenizer_json.hpp"
#include "text/utf8.hpp"

#include <cstdint>
#include <initializer_list>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace longhaul::text {

/// 400 merges; control tokens <|endoftext|>, <|im_start|>, <|im_end|>; user-defined <tool>. See make_golden.py.
inline constexpr char const* kSmallTokenizer = "tests/unit/text/data/small_tokenizer.json";

inline Tokenizer const& small_tokenizer(std::string const& pre_tokenizer = "smollm") {
    auto const make = [](char const* name) {
        TokenizerSpec spec = load_tokenizer_json(kSmallTokenizer);
        spec.pre_tokenizer = name;
        return Tokenizer(std::move(spec));
    };
    static Tokenizer const smollm = make("smollm");
    static Tokenizer const gpt2 = make("gpt-2");
    return pre_tokenizer == "smollm" ? smollm : gpt2;
}

/// Random valid UTF-8 made to hit the borders of pre-tokenisers: blanks, contractions, digits, control tokens and pieces of
/// them, and code points from all planes.
class RandomText {
  public:
    explicit RandomText(std::uint64_t seed) : random_(seed) {}

    std::string operator()(std::int64_t pieces) {
        std::string text;
        for (std::int64_t i = 0; i < pieces; ++i) {
            text += piece();
        }
        return text;
    }

    std::int64_t below(std::int64_t end) {
        return std::uniform_int_distribution<std::int64_t>(0, end - 1)(random_);
    }

    std::string pick(std::initializer_list<std::string_view> choices) {
        return std::string(choices.begin()[below(static_cast<std::int64_t>(choices.size()))]);
    }

  private:
    std::string piece() {
        switch (below(8)) {
            case 0:
                return pick({" ", "  ", "\n", "\t", "\r\n", " \n", "\u00a0", "\u2003", "\u3000",
                             "\u0085", "\u180e"});
            case 1:
                return pick({"'", "'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'r", "'v", "'l",
                             "'S", "s", "e", "l"});
            case 2:
                return pick({"0", "7", "12", "²", "½", "Ⅷ", "٣", "०"});
            case 3:
                return pick({"<|im_start|>", "<|im_end|>", "<|im_", "end|>", "<|", "|>", "<tool>",
                             "<to", "ol>", "<|endoftex", "t|>"});
            case 4:
                return code_point();
            case 5:
                return pick({".", ",", "!?", "-", "(", "\u0301", "\u200d", "😀", "\x01", "|"});
            default:
                return pick({"a", "b", "the", "The", "é", "ß", "я", "漢", "かな", "ا", "한"});
        }
    }

    std::string code_point() {
        std::int64_t const limits[] = {0x80, 0x800, 0x3000, 0x10000, 0x20000, 0x110000};
        auto value = static_cast<char32_t>(below(limits[below(6)]));
        if (value >= 0xd800 && value < 0xe000) {
            value = 0xfffd;
        }
        std::string text;
        append_utf8(text, value);
        return text;
    }

    std::mt19937_64 random_;
};

}  // namespace longhaul::text
