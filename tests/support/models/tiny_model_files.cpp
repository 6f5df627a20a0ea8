#include "base/error.hpp"
#include "io/model_file_names.hpp"
#include "support/models/encode_tensor.hpp"
#include "support/models/gguf_writer.hpp"
#include "support/models/safetensors_writer.hpp"
#include "support/models/tiny_model.hpp"
#include "support/models/tiny_tokenizer.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>

namespace longhaul::test {
namespace {

using Json = nlohmann::ordered_json;

template <class Layer, class Global>
void for_each_tensor(TinyModelSpec const& spec, Layer on_layer, Global on_global) {
    on_global(io::GlobalTensor::token_embedding);
    for (std::int64_t layer = 0; layer < spec.num_layers; ++layer) {
        for (std::int64_t i = 0; i < io::kLayerTensors; ++i) {
            on_layer(static_cast<io::LayerTensor>(i), layer);
        }
    }
    on_global(io::GlobalTensor::output_norm);
    if (!spec.tied) {
        on_global(io::GlobalTensor::lm_head);
    }
}

std::vector<std::int64_t> file_shape(io::TensorShape shape) {
    return shape.rows == 1 ? std::vector{shape.cols} : std::vector{shape.rows, shape.cols};
}

// Rows of each head from half-split to interleaved rotation, the order of GGUF's llama models.
std::vector<float> interleaved(std::vector<float> const& values, std::int64_t head_dim,
                               std::int64_t cols) {
    std::vector<float> result(values.size());
    auto const num_rows = static_cast<std::int64_t>(values.size()) / cols;
    for (std::int64_t head = 0; head < num_rows; head += head_dim) {
        for (std::int64_t j = 0; j < head_dim / 2; ++j) {
            for (std::int64_t part = 0; part < 2; ++part) {
                auto const from = values.begin() + (head + part * head_dim / 2 + j) * cols;
                std::copy(from, from + cols, result.begin() + (head + 2 * j + part) * cols);
            }
        }
    }
    return result;
}

void add_metadata(GgufWriter& file, TinyModelSpec const& spec) {
    ModelConfig const config = tiny_config(spec);
    file.text("general.architecture", config.architecture);
    file.text("general.name", config.name);
    file.u32("llama.block_count", config.num_layers);
    file.u32("llama.context_length", config.trained_context);
    file.u32("llama.embedding_length", config.hidden_dim);
    file.u32("llama.feed_forward_length", config.ffn_dim);
    file.u32("llama.attention.head_count", config.num_heads);
    file.u32("llama.attention.head_count_kv", config.num_kv_heads);
    file.u32("llama.attention.key_length", config.head_dim);
    file.u32("llama.attention.value_length", config.head_dim);
    file.u32("llama.rope.dimension_count", config.head_dim);
    file.real("llama.rope.freq_base", config.rope_theta);
    file.real("llama.attention.layer_norm_rms_epsilon", config.rms_epsilon);
    file.u32("llama.vocab_size", config.vocab_size);
}

void add_tokenizer(GgufWriter& file, TinyModelSpec const& spec) {
    TinyTokenizer const tokenizer = tiny_tokenizer(spec.vocab_size);
    std::vector<std::int32_t> types;
    for (bool const special : tokenizer.special) {
        types.push_back(special ? 3 : 1);
    }
    file.text("tokenizer.ggml.model", "gpt2");
    file.text("tokenizer.ggml.pre", "smollm");
    file.texts("tokenizer.ggml.tokens", tokenizer.tokens);
    file.integers("tokenizer.ggml.token_type", types);
    file.texts("tokenizer.ggml.merges", tokenizer.merges);
    file.u32("tokenizer.ggml.bos_token_id", kImStart);
    file.u32("tokenizer.ggml.eos_token_id", tiny_config(spec).eos_tokens.front());
    file.boolean("tokenizer.ggml.add_bos_token", false);
    file.text("tokenizer.chat_template", tiny_chat_template());
}

}  // namespace

void write_file(std::filesystem::path const& path, std::string const& bytes) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    file.flush();
    LH_VALIDATE(file.good(), "cannot write {}; check the folder and the space left", path.string());
}

std::string tiny_gguf_bytes(TinyModelSpec const& spec, std::vector<std::int64_t>* boundaries) {
    GgufWriter file;
    add_metadata(file, spec);
    add_tokenizer(file, spec);
    ModelConfig const config = tiny_config(spec);
    auto const add = [&](std::string const& name, io::TensorShape shape,
                         std::vector<float> const& values) {
        io::TensorType const type = stored_type(spec, shape.rows, shape.cols);
        file.tensor(name, file_shape(shape), ggml_number(type), encode_tensor(type, values));
    };
    for_each_tensor(
        spec,
        [&](io::LayerTensor tensor, std::int64_t layer) {
            std::vector<float> values = tiny_weights(spec, tensor, layer);
            if (tensor == io::LayerTensor::q || tensor == io::LayerTensor::k) {
                values = interleaved(values, spec.head_dim, spec.hidden_dim);
            }
            add(io::gguf_name(tensor, layer), io::expected_shape(config, tensor), values);
        },
        [&](io::GlobalTensor tensor) {
            add(io::gguf_name(tensor), io::expected_shape(config, tensor),
                tiny_weights(spec, tensor));
        });
    std::string bytes = file.finish();
    if (boundaries != nullptr) {
        *boundaries = file.boundaries();
    }
    return bytes;
}

std::string tiny_safetensors_bytes(TinyModelSpec const& spec) {
    SafetensorsWriter file;
    ModelConfig const config = tiny_config(spec);
    bool const short_floats = spec.type == io::TensorType::f16 || spec.type == io::TensorType::bf16;
    auto const add = [&](std::string const& name, io::TensorShape shape,
                         std::vector<float> const& values) {
        io::TensorType const type = short_floats ? spec.type : io::TensorType::f32;
        file.tensor(name, io::tensor_type_name(type), file_shape(shape),
                    encode_tensor(type, values));
    };
    for_each_tensor(
        spec,
        [&](io::LayerTensor tensor, std::int64_t layer) {
            add(io::hf_name(tensor, layer), io::expected_shape(config, tensor),
                tiny_weights(spec, tensor, layer));
        },
        [&](io::GlobalTensor tensor) {
            add(io::hf_name(tensor), io::expected_shape(config, tensor),
                tiny_weights(spec, tensor));
        });
    return file.finish();
}

std::string tiny_config_json(TinyModelSpec const& spec) {
    ModelConfig const config = tiny_config(spec);
    Json const json{{"architectures", Json::array({"LlamaForCausalLM"})},
                    {"model_type", "llama"},
                    {"hidden_act", "silu"},
                    {"hidden_size", config.hidden_dim},
                    {"intermediate_size", config.ffn_dim},
                    {"num_hidden_layers", config.num_layers},
                    {"num_attention_heads", config.num_heads},
                    {"num_key_value_heads", config.num_kv_heads},
                    {"head_dim", config.head_dim},
                    {"vocab_size", config.vocab_size},
                    {"max_position_embeddings", config.trained_context},
                    {"rms_norm_eps", config.rms_epsilon},
                    {"rope_theta", config.rope_theta},
                    {"rope_scaling", nullptr},
                    {"attention_bias", false},
                    {"mlp_bias", false},
                    {"tie_word_embeddings", config.tied_embeddings},
                    {"bos_token_id", config.bos_token},
                    {"eos_token_id", config.eos_tokens.front()},
                    {"torch_dtype", "float32"}};
    return json.dump(2);
}

void write_gguf(TinyModelSpec const& spec, std::filesystem::path const& path) {
    write_file(path, tiny_gguf_bytes(spec));
}

void write_gguf(TinyModelSpec spec, std::filesystem::path const& path, io::TensorType type) {
    spec.type = type;
    write_gguf(spec, path);
}

void write_safetensors_folder(TinyModelSpec const& spec, std::filesystem::path const& folder) {
    std::filesystem::create_directories(folder);
    TinyTokenizer const tokenizer = tiny_tokenizer(spec.vocab_size);
    Json const tokenizer_config{
        {"tokenizer_class", "PreTrainedTokenizerFast"}, {"bos_token", tokenizer.tokens[kImStart]},
        {"eos_token", tokenizer.tokens[kImEnd]},        {"add_bos_token", false},
        {"clean_up_tokenization_spaces", false},        {"chat_template", tiny_chat_template()}};
    Json const generation_config{{"bos_token_id", kImStart},
                                 {"eos_token_id", tiny_config(spec).eos_tokens.front()}};
    write_file(folder / "config.json", tiny_config_json(spec));
    write_file(folder / "model.safetensors", tiny_safetensors_bytes(spec));
    write_file(folder / "tokenizer.json", tokenizer_json(tokenizer));
    write_file(folder / "tokenizer_config.json", tokenizer_config.dump(2));
    write_file(folder / "generation_config.json", generation_config.dump(2));
}

}  // namespace longhaul::test
