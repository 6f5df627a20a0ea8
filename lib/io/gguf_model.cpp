#include "io/gguf_model.hpp"

#include "base/error.hpp"
#include "io/model_file_config.hpp"
#include "io/model_file_names.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace longhaul::io {
namespace {

constexpr char const* kTokens = "tokenizer.ggml.tokens";

std::string file_name(GgufFile const& file) { return file.file().path().string(); }

// Metadata that must have its neutral value (or be absent), because longhaul computes plain Llama only.
void refuse_variants(GgufFile const& file, ModelConfig const& config) {
    GgufMetadata const& metadata = file.metadata();
    std::string const name = file_name(file);
    auto const neutral_integer = [&](char const* key, std::int64_t neutral, char const* meaning) {
        std::int64_t const value = metadata.integer(key).value_or(neutral);
        LH_VALIDATE(value == neutral, "{}: {} is {}: {} is not supported; use a plain Llama model",
                    name, key, value, meaning);
    };
    auto const neutral_real = [&](char const* key, double neutral, char const* meaning) {
        double const value = metadata.real(key).value_or(neutral);
        LH_VALIDATE(value == neutral, "{}: {} is {}: {} is not supported; use a plain Llama model",
                    name, key, value, meaning);
    };
    std::string const scaling = metadata.text("llama.rope.scaling.type").value_or("none");
    LH_VALIDATE(scaling == "none",
                "{}: llama.rope.scaling.type is {}: RoPE scaling is not supported; use a model "
                "with the default RoPE",
                name, shown(scaling));
    neutral_real("llama.rope.scaling.factor", 1.0, "RoPE scaling");
    neutral_real("llama.rope.scale_linear", 1.0, "RoPE scaling");
    neutral_integer("llama.rope.dimension_count", config.head_dim,
                    "rotating only a part of each head");
    neutral_integer("llama.attention.value_length", config.head_dim,
                    "a value dimension of its own");
    neutral_integer("llama.expert_count", 0, "a mixture of experts");
    neutral_integer("llama.attention.sliding_window", 0, "a sliding attention window");
    neutral_real("llama.attention.clamp_kqv", 0.0, "clamping of queries, keys and values");
    neutral_real("llama.attention.max_alibi_bias", 0.0, "ALiBi");
    neutral_real("llama.logit_scale", 1.0, "scaling of logits");
    neutral_real("llama.embedding_scale", 1.0, "scaling of embeddings");
    neutral_real("llama.residual_scale", 1.0, "scaling of residuals");
    LH_VALIDATE(
        metadata.boolean("llama.attention.causal").value_or(true),
        "{}: llama.attention.causal is false: attention without a causal mask is not supported",
        name);
}

std::int64_t vocabulary(GgufFile const& file) {
    GgufMetadata const& metadata = file.metadata();
    std::optional<std::int64_t> const listed = metadata.length(kTokens);
    std::int64_t const declared = metadata.integer("llama.vocab_size").value_or(listed.value_or(0));
    LH_VALIDATE(!listed || *listed == declared,
                "{}: llama.vocab_size is {}, but tokenizer.ggml.tokens lists {} tokens; convert "
                "the model again",
                file_name(file), declared, listed.value_or(0));
    return declared;
}

TokenId token(GgufFile const& file, char const* key) {
    std::int64_t const value = file.metadata().integer(key).value_or(-1);
    // -1 written as uint32 is how converters say "none".
    if (value == 0xffffffff) {
        return -1;
    }
    LH_VALIDATE(std::in_range<TokenId>(value) && value >= -1,
                "{}: {} is {}, no token number; convert the model again", file_name(file), key,
                value);
    return static_cast<TokenId>(value);
}

std::vector<TokenId> ending_tokens(GgufFile const& file) {
    std::vector<TokenId> result;
    for (char const* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                            "tokenizer.ggml.eom_token_id"}) {
        TokenId const ending = token(file, key);
        if (ending != -1 && std::find(result.begin(), result.end(), ending) == result.end()) {
            result.push_back(ending);
        }
    }
    return result;
}

}  // namespace

ModelConfig gguf_config(GgufFile const& file) {
    GgufMetadata const& metadata = file.metadata();
    std::string const name = file_name(file);
    ModelConfig config;
    config.architecture = metadata.text("general.architecture").value_or("");
    LH_VALIDATE(
        config.architecture == "llama",
        "{}: the model's architecture is {}; longhaul computes the architecture 'llama' only", name,
        shown(config.architecture));
    config.name = metadata.text("general.name").value_or(file.file().path().stem().string());
    config.num_layers = metadata.required_integer("llama.block_count");
    config.hidden_dim = metadata.required_integer("llama.embedding_length");
    config.num_heads = metadata.required_integer("llama.attention.head_count");
    check_limits(name, "llama.attention.head_count", config.num_heads, 1, 65'536);
    config.num_kv_heads =
        metadata.integer("llama.attention.head_count_kv").value_or(config.num_heads);
    std::optional<std::int64_t> const head_dim = metadata.integer("llama.attention.key_length");
    LH_VALIDATE(head_dim || config.hidden_dim % config.num_heads == 0,
                "{}: the hidden size {} is no multiple of the {} heads, and "
                "llama.attention.key_length is missing; convert "
                "the model again",
                name, config.hidden_dim, config.num_heads);
    config.head_dim = head_dim.value_or(config.hidden_dim / config.num_heads);
    config.ffn_dim = metadata.required_integer("llama.feed_forward_length");
    config.vocab_size = vocabulary(file);
    config.trained_context = metadata.integer("llama.context_length").value_or(0);
    config.rms_epsilon = metadata.real("llama.attention.layer_norm_rms_epsilon").value_or(0.0);
    config.rope_theta = metadata.real("llama.rope.freq_base").value_or(10'000.0);
    std::string const head = gguf_name(GlobalTensor::lm_head);
    config.tied_embeddings = file.find(head) == nullptr && file.foreign_type(head).empty();
    config.bos_token = token(file, "tokenizer.ggml.bos_token_id");
    config.eos_tokens = ending_tokens(file);
    check_config(name, config);
    refuse_variants(file, config);
    return config;
}

TokenizerData gguf_tokenizer(GgufFile const& file) {
    GgufMetadata const& metadata = file.metadata();
    TokenizerData data;
    data.tokens = metadata.texts(kTokens).value_or(std::vector<std::string>{});
    data.merges = metadata.texts("tokenizer.ggml.merges").value_or(std::vector<std::string>{});
    data.token_types =
        metadata.integers("tokenizer.ggml.token_type").value_or(std::vector<std::int32_t>{});
    LH_VALIDATE(
        data.token_types.empty() || data.token_types.size() == data.tokens.size(),
        "{}: tokenizer.ggml.token_type has {} entries for {} tokens; convert the model again",
        file_name(file), data.token_types.size(), data.tokens.size());
    data.model = metadata.text("tokenizer.ggml.model").value_or("");
    data.pre = metadata.text("tokenizer.ggml.pre").value_or("");
    data.bos = token(file, "tokenizer.ggml.bos_token_id");
    data.eos = token(file, "tokenizer.ggml.eos_token_id");
    data.add_bos = metadata.boolean("tokenizer.ggml.add_bos_token").value_or(false);
    data.chat_template = metadata.text("tokenizer.chat_template").value_or("");
    return data;
}

}  // namespace longhaul::io
