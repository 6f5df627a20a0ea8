#include "engine/text_model.hpp"

#include "base/error.hpp"
#include "text/byte_alphabet.hpp"
#include "text/tokenizer_json.hpp"

#include <cstdint>
#include <string>
#include <utility>

namespace longhaul::engine {
namespace {

// For random weights without a tokenizer.json: token b is byte b, and no text has a token beyond those. The answers of such
// a model mean nothing, so any text of a given length will do.
text::TokenizerSpec bytes_as_tokens(std::int64_t vocab_size) {
    constexpr std::int64_t kBytes = 256;
    LH_VALIDATE(vocab_size >= kBytes,
                "a vocabulary of {} has no room for the {} bytes, and there is no tokenizer.json; "
                "put one beside config.json",
                vocab_size, kBytes);
    text::TokenizerSpec spec;
    spec.pre_tokenizer = "gpt-2";
    for (std::int64_t token = 0; token < vocab_size; ++token) {
        bool const byte = token < kBytes;
        spec.tokens.push_back(byte
                                  ? std::string(text::byte_letter(static_cast<std::uint8_t>(token)))
                                  : fmt::format("<|{}|>", token));
        spec.token_types.push_back(
            static_cast<std::int32_t>(byte ? text::TokenType::normal : text::TokenType::unused));
    }
    return spec;
}

text::TokenizerSpec make_spec(io::ModelFile const& file) {
    io::TokenizerData const& data = file.tokenizer();
    if (file.is_random() && data.tokenizer_json.empty()) {
        return bytes_as_tokens(file.config().vocab_size);
    }
    if (!data.tokenizer_json.empty()) {
        text::TokenizerSpec spec = text::load_tokenizer_json(data.tokenizer_json);
        spec.bos_token = data.bos >= 0 ? data.bos : spec.bos_token;
        spec.eos_token = data.eos >= 0 ? data.eos : spec.eos_token;
        spec.add_bos = data.add_bos;
        return spec;
    }
    LH_VALIDATE(
        !data.model.empty(),
        "the model comes without a tokenizer; put its tokenizer.json beside the weights, or "
        "use a GGUF file that holds one");
    LH_VALIDATE(data.model == "gpt2",
                "the model's tokenizer is of kind '{}'; longhaul reads byte-level BPE ('gpt2'): "
                "use another model file",
                data.model);
    text::TokenizerSpec spec;
    spec.tokens = data.tokens;
    spec.merges = data.merges;
    spec.token_types = data.token_types;
    spec.pre_tokenizer = data.pre;
    spec.bos_token = data.bos;
    spec.eos_token = data.eos;
    spec.add_bos = data.add_bos;
    return spec;
}

std::string token_text(text::Tokenizer const& tokenizer, std::optional<TokenId> token) {
    return token ? tokenizer.token_text(*token) : std::string();
}

TextModel build(io::ModelFile const& file) {
    TextModel model{text::Tokenizer(make_spec(file)), std::nullopt};
    LH_VALIDATE(model.tokenizer.vocab_size() <= file.config().vocab_size,
                "the tokenizer has {} tokens, the model's vocabulary only {}; they do not belong "
                "together",
                model.tokenizer.vocab_size(), file.config().vocab_size);
    if (!file.tokenizer().chat_template.empty()) {
        model.chat_template.emplace(file.tokenizer().chat_template,
                                    token_text(model.tokenizer, model.tokenizer.bos_token()),
                                    token_text(model.tokenizer, model.tokenizer.eos_token()));
    }
    return model;
}

}  // namespace

TextModel make_text_model(io::ModelFile const& file) {
    try {
        return build(file);
    } catch (ValidationError const& error) {
        // lib/text knows no files: the message needs the name of the one to replace.
        throw ValidationError(fmt::format("{}: {}", file.path().string(), error.what()));
    }
}

}  // namespace longhaul::engine
