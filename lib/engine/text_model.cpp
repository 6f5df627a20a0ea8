#include "engine/text_model.hpp"

#include "base/error.hpp"
#include "text/tokenizer_json.hpp"

#include <utility>

namespace longhaul::engine {
namespace {

text::TokenizerSpec make_spec(io::TokenizerData const& data) {
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
    TextModel model{text::Tokenizer(make_spec(file.tokenizer())), std::nullopt};
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
