#include "io/hf_config.hpp"

#include "base/error.hpp"
#include "io/hf_config_json.hpp"
#include "io/mapped_file.hpp"
#include "io/model_file_config.hpp"

#include <array>
#include <utility>

namespace longhaul::io {
namespace {

void refuse_rope_scaling(HfJson const& config, char const* key) {
    if (std::optional<HfJson> const rope = config.object(key)) {
        std::string const type =
            rope->text("rope_type").value_or(rope->text("type").value_or("default"));
        LH_VALIDATE(type == "default",
                    "{}: {} has the type {}: RoPE scaling is not supported; use a model with the "
                    "default RoPE",
                    config.file(), key, shown(type));
    }
}

// Keys that must have their neutral value, null, or be absent.
void refuse_variants(HfJson const& config) {
    auto const refuse = [&](bool variant, char const* key, char const* meaning) {
        LH_VALIDATE(!variant, "{}: {} asks for {}, which is not supported; use a plain Llama model",
                    config.file(), key, meaning);
    };
    refuse_rope_scaling(config, "rope_scaling");
    refuse_rope_scaling(config, "rope_parameters");
    refuse(config.text("hidden_act").value_or("silu") != "silu", "hidden_act",
           "another activation than SiLU");
    refuse(config.boolean("attention_bias").value_or(false), "attention_bias",
           "biases in attention");
    refuse(config.boolean("mlp_bias").value_or(false), "mlp_bias", "biases in the FFN");
    refuse(config.real("partial_rotary_factor").value_or(1.0) != 1.0, "partial_rotary_factor",
           "rotating only a part of each head");
    refuse(config.has("sliding_window"), "sliding_window", "a sliding attention window");
    for (char const* key : {"num_local_experts", "num_experts", "n_routed_experts"}) {
        refuse(config.has(key), key, "a mixture of experts");
    }
    refuse(config.has("quantization_config"), "quantization_config",
           "quantised weights of another kind");
    for (std::string const& kind : config.texts("layer_types")) {
        refuse(kind != "full_attention", "layer_types", "layers without full attention");
    }
}

void require_llama(HfJson const& config) {
    std::string const type = config.text("model_type").value_or("");
    std::vector<std::string> const architectures = config.texts("architectures");
    std::string const architecture =
        architectures.empty() ? "LlamaForCausalLM" : architectures.front();
    LH_VALIDATE(
        type == "llama" && architectures.size() <= 1 && architecture == "LlamaForCausalLM",
        "{}: the model is a {} of type {}; longhaul computes LlamaForCausalLM of type 'llama' only",
        config.file(), shown(architecture), shown(type));
}

std::vector<TokenId> tokens(HfJson const& json, char const* key) {
    std::vector<TokenId> result;
    for (std::int64_t const value : json.integers(key)) {
        LH_VALIDATE(std::in_range<TokenId>(value) && value >= 0,
                    "{}: {} has the entry {}, no token number", json.file(), key, value);
        result.push_back(static_cast<TokenId>(value));
    }
    return result;
}

std::vector<TokenId> ending_tokens(std::filesystem::path const& folder, HfJson const& config) {
    if (std::filesystem::path const path = folder / "generation_config.json"; is_present(path)) {
        if (std::vector<TokenId> result = tokens(HfJson::read(path), "eos_token_id");
            !result.empty()) {
            return result;
        }
    }
    return tokens(config, "eos_token_id");
}

double rope_base(HfJson const& config) {
    std::optional<HfJson> const nested = config.object("rope_parameters");
    double const fallback = nested ? nested->real("rope_theta").value_or(10'000.0) : 10'000.0;
    return config.real("rope_theta").value_or(fallback);
}

std::string chat_template(std::filesystem::path const& folder,
                          std::optional<HfJson> const& config) {
    if (std::filesystem::path const path = folder / "chat_template.jinja"; is_present(path)) {
        return read_small_file(path);
    }
    return config ? config->chat_template() : std::string{};
}

}  // namespace

ModelConfig hf_config(std::filesystem::path const& folder) {
    HfJson const json = HfJson::read(folder / "config.json");
    require_llama(json);
    refuse_variants(json);
    ModelConfig config;
    config.architecture = "llama";
    config.name = std::filesystem::absolute(folder).lexically_normal().filename().string();
    config.num_layers = json.required_integer("num_hidden_layers");
    config.hidden_dim = json.required_integer("hidden_size");
    config.num_heads = json.required_integer("num_attention_heads");
    check_limits(json.file(), "num_attention_heads", config.num_heads, 1, 65'536);
    config.num_kv_heads = json.integer("num_key_value_heads").value_or(config.num_heads);
    std::optional<std::int64_t> const head_dim = json.integer("head_dim");
    LH_VALIDATE(head_dim || config.hidden_dim % config.num_heads == 0,
                "{}: hidden_size {} is no multiple of {} heads, and head_dim is missing",
                json.file(), config.hidden_dim, config.num_heads);
    config.head_dim = head_dim.value_or(config.hidden_dim / config.num_heads);
    config.ffn_dim = json.required_integer("intermediate_size");
    config.vocab_size = json.required_integer("vocab_size");
    config.trained_context = json.integer("max_position_embeddings").value_or(0);
    config.rms_epsilon = json.real("rms_norm_eps").value_or(1e-6);
    config.rope_theta = rope_base(json);
    config.tied_embeddings = json.boolean("tie_word_embeddings").value_or(false);
    std::vector<TokenId> const bos = tokens(json, "bos_token_id");
    config.bos_token = bos.empty() ? -1 : bos.front();
    config.eos_tokens = ending_tokens(folder, json);
    check_config(json.file(), config);
    return config;
}

TokenizerData hf_tokenizer(std::filesystem::path const& folder, ModelConfig const& config) {
    TokenizerData data;
    if (std::filesystem::path const path = folder / "tokenizer.json"; is_present(path)) {
        data.tokenizer_json = path;
    }
    std::optional<HfJson> json;
    if (std::filesystem::path const path = folder / "tokenizer_config.json"; is_present(path)) {
        json = HfJson::read(path);
        data.add_bos = json->boolean("add_bos_token").value_or(false);
    }
    data.chat_template = chat_template(folder, json);
    data.bos = config.bos_token;
    data.eos = config.eos_tokens.empty() ? -1 : config.eos_tokens.front();
    return data;
}

}  // namespace longhaul::io
