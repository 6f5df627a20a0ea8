#pragma once

#include "base/model_config.hpp"
#include "io/model_file.hpp"
#include "io/tensor.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace longhaul::test {

/// A Llama model with seeded random weights, small enough to be written in a moment. The numbers are spread so that the
/// logits have a standard deviation of about 4 (the two largest are seldom closer than 0.05) and nothing grows out of
/// bounds over the layers; they depend on seed and tensor name only, on no library's random numbers.
struct TinyModelSpec {
    std::int64_t num_layers = 5;
    std::int64_t num_heads = 9;
    std::int64_t num_kv_heads = 3;
    std::int64_t head_dim = 16;    ///< a multiple of 8
    std::int64_t hidden_dim = 72;  ///< need not be num_heads * head_dim
    std::int64_t ffn_dim = 88;
    std::int64_t vocab_size = 271;  ///< at least 259: three special tokens and the bytes
    std::int64_t trained_context = 4096;
    double rope_theta = 10'000.0;
    bool tied = true;
    std::uint64_t seed = 1;
    /// Of the matrices; norms are stored as F32. A matrix whose rows are no whole number of blocks is stored as F32 too.
    io::TensorType type = io::TensorType::f32;
    TokenId eos_token = -1;  ///< ends an answer; -1: the chat template's end of turn
    bool nan_norm =
        false;  ///< one weight of the last norm is NaN: every logit of every job becomes NaN
    TokenId nan_token =
        -1;  ///< this token's embedding has a NaN: with untied embeddings only jobs with the token fail
    std::int64_t nan_key_layer =
        -1;  ///< one weight of this layer's key projection is NaN: every score of one KV head becomes NaN
};

[[nodiscard]] ModelConfig tiny_config(TinyModelSpec const& spec);

/// A tensor as the model computes with it: HF convention, rounded to its storage type. [rows, cols], row-major.
[[nodiscard]] std::vector<float> tiny_weights(TinyModelSpec const& spec, io::LayerTensor tensor,
                                              std::int64_t layer);
[[nodiscard]] std::vector<float> tiny_weights(TinyModelSpec const& spec, io::GlobalTensor tensor);

/// The type a matrix with `cols` columns is stored in.
[[nodiscard]] io::TensorType stored_type(TinyModelSpec const& spec, std::int64_t rows,
                                         std::int64_t cols);

/// Writes a .gguf file with tokenizer and chat template inside.
void write_gguf(TinyModelSpec const& spec, std::filesystem::path const& path);
void write_gguf(TinyModelSpec spec, std::filesystem::path const& path, io::TensorType type);

/// Writes config.json, model.safetensors, tokenizer.json, tokenizer_config.json and generation_config.json into `folder`,
/// which is created. The same numbers as write_gguf's: matrices as F16 or BF16 where the spec says so, else as F32, with
/// the values that the quantised type stands for.
void write_safetensors_folder(TinyModelSpec const& spec, std::filesystem::path const& folder);

/// The files' contents, for tests that damage them.
[[nodiscard]] std::string tiny_gguf_bytes(TinyModelSpec const& spec,
                                          std::vector<std::int64_t>* boundaries = nullptr);
[[nodiscard]] std::string tiny_safetensors_bytes(TinyModelSpec const& spec);
[[nodiscard]] std::string tiny_config_json(TinyModelSpec const& spec);

/// Writes `bytes` to `path`, replacing what was there.
void write_file(std::filesystem::path const& path, std::string const& bytes);

}  // namespace longhaul::test
