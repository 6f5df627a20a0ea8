// Any bytes as text, cut in two by the first byte: tokens decode to the text, plain text holds no control token, and what
// tokens_before calls certain does not depend on the second half.
#include "base/error.hpp"
#include "text/byte_alphabet.hpp"
#include "text/stream_decoder.hpp"
#include "text/tokenizer.hpp"
#include "text/utf8.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace {

using namespace longhaul;

text::Tokenizer make_tokenizer(std::string const& pre_tokenizer) {
    text::TokenizerSpec spec;
    for (int byte = 0; byte < 256; ++byte) {
        spec.tokens.emplace_back(text::byte_letter(static_cast<std::uint8_t>(byte)));
    }
    for (char const* const pair :
         {"a a", "aa aa", "Ġ Ġ", "ĠĠ ĠĠ", "t h", "th e", "Ġ the", "Ċ Ċ", "' s", "Ã ©"}) {
        spec.merges.emplace_back(pair);
        spec.tokens.emplace_back(pair);
        std::erase(spec.tokens.back(), ' ');
    }
    spec.token_types.assign(spec.tokens.size(), 1);
    for (char const* const control : {"<|im_start|>", "<|im_end|>", "<|"}) {
        spec.tokens.emplace_back(control);
        spec.token_types.push_back(3);
    }
    spec.pre_tokenizer = pre_tokenizer;
    return text::Tokenizer(std::move(spec));
}

void check(text::Tokenizer const& tokenizer, std::string const& whole, std::string const& begin,
           text::SpecialTokens mode) {
    text::Encoding const a = tokenizer.encode(whole, mode);
    text::Encoding const b = tokenizer.encode(begin, mode);
    LH_ASSERT(tokenizer.decode(a.ids, text::ControlTokens::keep) == whole);
    auto const offset = static_cast<std::int64_t>(begin.size());
    std::int64_t const certain = text::tokens_before(a, offset);
    LH_ASSERT(certain == text::tokens_before(b, offset));
    LH_ASSERT(std::equal(a.ids.begin(), a.ids.begin() + certain, b.ids.begin()));
    text::StreamDecoder decoder(tokenizer);
    std::string streamed;
    for (TokenId const id : a.ids) {
        LH_ASSERT(mode == text::SpecialTokens::parse || !tokenizer.is_special(id));
        streamed += decoder.push(id);
    }
    streamed += decoder.finish();
    LH_ASSERT(streamed == text::to_valid_utf8(tokenizer.decode(a.ids)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static text::Tokenizer const smollm = make_tokenizer("smollm");
    static text::Tokenizer const gpt2 = make_tokenizer("gpt-2");
    if (size == 0) {
        return 0;
    }
    std::string const whole =
        text::to_valid_utf8({reinterpret_cast<char const*>(data) + 1, size - 1});
    std::size_t cut = whole.empty() ? 0 : data[0] % (whole.size() + 1);
    while (cut < whole.size() && (static_cast<unsigned char>(whole[cut]) & 0xc0U) == 0x80) {
        ++cut;
    }
    for (text::SpecialTokens const mode :
         {text::SpecialTokens::parse, text::SpecialTokens::plain_text}) {
        check(smollm, whole, whole.substr(0, cut), mode);
        check(gpt2, whole, whole.substr(0, cut), mode);
    }
    return 0;
}
