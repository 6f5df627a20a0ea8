#include "text/tokenizer.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"
#include "text/added_tokens.hpp"
#include "text/bpe.hpp"
#include "text/byte_alphabet.hpp"
#include "text/utf8.hpp"
#include "text/word_cache.hpp"

#include <algorithm>
#include <limits>

namespace longhaul::text {
namespace {

void validate(TokenizerSpec const& spec) {
    LH_VALIDATE(!spec.tokens.empty(),
                "the tokenizer has no tokens; the model file is damaged, fetch it again");
    LH_VALIDATE(spec.tokens.size() <= static_cast<std::size_t>(std::numeric_limits<TokenId>::max()),
                "the tokenizer has {} tokens, more than ids can number; the model file is damaged, "
                "fetch it again",
                spec.tokens.size());
    LH_VALIDATE(
        spec.token_types.empty() || spec.token_types.size() == spec.tokens.size(),
        "the tokenizer has {} tokens but {} token types; the model file is damaged, fetch it again",
        spec.tokens.size(), spec.token_types.size());
    auto const check_id = [&](TokenId id, char const* name) {
        LH_VALIDATE(id >= -1 && id < static_cast<std::int64_t>(spec.tokens.size()),
                    "the tokenizer's {} token {} is not in its vocabulary of {}; the model file is "
                    "damaged, fetch it again",
                    name, id, spec.tokens.size());
    };
    check_id(spec.bos_token, "beginning-of-sequence");
    check_id(spec.eos_token, "end-of-sequence");
    check_id(spec.missing_byte_token, "unknown-byte");
}

TokenType type_of(TokenizerSpec const& spec, std::size_t id) {
    return spec.token_types.empty() ? TokenType::normal
                                    : static_cast<TokenType>(spec.token_types[id]);
}

bool is_control(TokenType type) { return type == TokenType::control || type == TokenType::unknown; }

// Tokens that stand for their own text. So does a normal token with a character outside the alphabet: no merge makes it.
std::string bytes_of_token(TokenizerSpec const& spec, std::size_t id) {
    TokenType const type = type_of(spec, id);
    if (!is_control(type) && type != TokenType::user_defined) {
        if (auto bytes = bytes_of_letters(spec.tokens[id])) {
            return *std::move(bytes);
        }
    }
    return spec.tokens[id];
}

std::string_view part(std::string_view text, Range range) {
    return text.substr(static_cast<std::size_t>(range.begin),
                       static_cast<std::size_t>(range.size()));
}

void expect_ascending(std::span<Range const> ranges, std::int64_t size) {
    std::int64_t last = 0;
    for (Range const& range : ranges) {
        LH_EXPECT(range.begin >= last && range.end >= range.begin && range.end <= size);
        last = range.end;
    }
}

}  // namespace

std::int64_t tokens_before(Encoding const& encoding, std::int64_t byte_offset) {
    auto const uncertain =
        std::partition_point(encoding.pretokens.begin(), encoding.pretokens.end(),
                             [&](PreToken const& piece) { return piece.look_end <= byte_offset; });
    return uncertain == encoding.pretokens.end() ? static_cast<std::int64_t>(encoding.ids.size())
                                                 : uncertain->token_begin;
}

Tokenizer::Tokenizer(TokenizerSpec spec) : spec_(std::move(spec)) {
    validate(spec_);
    pretokenizer_ = make_pretokenizer(spec_.pre_tokenizer, spec_.split_pattern);
    bytes_.reserve(spec_.tokens.size());
    index_.reserve(spec_.tokens.size());
    auto added = std::make_unique<AddedTokens>();
    for (std::size_t id = 0; id < spec_.tokens.size(); ++id) {
        bytes_.push_back(bytes_of_token(spec_, id));
        auto const token = static_cast<TokenId>(id);
        index_.try_emplace(spec_.tokens[id], token);
        TokenType const type = type_of(spec_, id);
        if ((is_control(type) || type == TokenType::user_defined) && !spec_.tokens[id].empty()) {
            added->add(
                spec_.tokens[id], token,
                is_control(type) ? AddedTokens::Kind::control : AddedTokens::Kind::user_defined);
        }
    }
    added_ = std::move(added);
    model_ = std::make_unique<BpeModel const>(index_, spec_.merges, spec_.missing_byte_token);
    spec_.merges = {};
}

Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Encoding Tokenizer::encode(std::string_view text, SpecialTokens specials) const {
    Range const whole{0, static_cast<std::int64_t>(text.size())};
    return encode(
        text, specials == SpecialTokens::parse ? std::span(&whole, 1) : std::span<Range const>{});
}

Encoding Tokenizer::encode(std::string_view text, std::span<Range const> control_ranges) const {
    auto const size = static_cast<std::int64_t>(text.size());
    expect_ascending(control_ranges, size);
    require_utf8(text, "the text");
    Encoding out;
    out.ids.reserve(text.size() / 3);
    out.pretokens.reserve(text.size() / 4);
    WordCache words(*model_);
    for (std::int64_t at = 0; at < size;) {
        auto const match = added_->find(text, at, control_ranges);
        encode_run(text, {at, match ? match->bytes.begin : size}, words, out);
        if (!match) {
            break;
        }
        // Where it ends depends on whether a longer token matches.
        out.pretokens.push_back({match->bytes.begin, static_cast<std::int64_t>(out.ids.size()),
                                 match->bytes.begin + 1});
        out.ids.push_back(match->id);
        at = match->bytes.end;
    }
    finish_look_ends(control_ranges, out);
    return out;
}

void Tokenizer::encode_run(std::string_view text, Range run, WordCache& words,
                           Encoding& out) const {
    std::size_t piece = out.pretokens.size();
    pretokenizer_->split(part(text, run), run.begin, out.pretokens);
    for (; piece < out.pretokens.size(); ++piece) {
        PreToken& pretoken = out.pretokens[piece];
        std::int64_t const end =
            piece + 1 < out.pretokens.size() ? out.pretokens[piece + 1].byte_begin : run.end;
        pretoken.token_begin = static_cast<std::int64_t>(out.ids.size());
        words.encode_word(part(text, {pretoken.byte_begin, end}), out.ids);
    }
}

// A pre-token also rests on there being no added token in what it read.
void Tokenizer::finish_look_ends(std::span<Range const> control_ranges, Encoding& encoding) const {
    std::int64_t furthest = 0;
    for (PreToken& pretoken : encoding.pretokens) {
        furthest = std::max(furthest, added_->extend_look(pretoken.look_end, control_ranges));
        pretoken.look_end = furthest;
    }
}

std::string Tokenizer::decode(std::span<TokenId const> ids, ControlTokens control) const {
    std::string out;
    for (TokenId const id : ids) {
        if (id >= vocab_size()) {
            continue;  // a model may have more rows than tokens, rounded up for its training
        }
        if (control == ControlTokens::keep || !is_special(id)) {
            out += token_bytes(id);
        }
    }
    return out;
}

std::string const& Tokenizer::token_bytes(TokenId id) const {
    LH_EXPECT(id >= 0 && id < vocab_size());
    return bytes_[static_cast<std::size_t>(id)];
}

std::string const& Tokenizer::token_text(TokenId id) const {
    LH_EXPECT(id >= 0 && id < vocab_size());
    return spec_.tokens[static_cast<std::size_t>(id)];
}

bool Tokenizer::is_special(TokenId id) const {
    LH_EXPECT(id >= 0 && id < vocab_size());
    return is_control(type_of(spec_, static_cast<std::size_t>(id)));
}

std::optional<TokenId> Tokenizer::find(std::string_view token_text) const {
    auto const found = index_.find(token_text);
    return found == index_.end() ? std::nullopt : std::optional(found->second);
}

std::int64_t Tokenizer::vocab_size() const {
    return static_cast<std::int64_t>(spec_.tokens.size());
}

std::optional<TokenId> Tokenizer::bos_token() const {
    return spec_.bos_token < 0 ? std::nullopt : std::optional(spec_.bos_token);
}

std::optional<TokenId> Tokenizer::eos_token() const {
    return spec_.eos_token < 0 ? std::nullopt : std::optional(spec_.eos_token);
}

}  // namespace longhaul::text
