#pragma once

#include "base/model_config.hpp"
#include "base/random_matrix.hpp"
#include "base/range.hpp"
#include "io/tensor.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace longhaul::io {

class WeightFile;

/// What a model folder or file says about its tokenizer; lib/text builds the tokenizer from it.
struct TokenizerData {
    std::vector<std::string>
        tokens;  ///< by token id, in the spelling of the file (byte-level: GPT-2's alphabet)
    std::vector<std::string> merges;  ///< "left right", best first
    std::vector<std::int32_t>
        token_types;        ///< ggml's numbers: 1 normal, 3 control, 4 user defined, ...
    std::string model;      ///< tokenizer.ggml.model: "gpt2" is byte-level BPE
    std::string pre;        ///< tokenizer.ggml.pre: name of the pre-tokeniser, "smollm"
    std::int32_t bos = -1;  ///< -1: none
    std::int32_t eos = -1;  ///< -1: none; every token that ends a text: ModelConfig::eos_tokens
    bool add_bos = false;   ///< put bos in front of every text
    std::filesystem::path
        tokenizer_json;  ///< HF folders: set instead of tokens, merges, token_types, model, pre
    std::string chat_template;  ///< Jinja; empty: none
};

enum class LayerTensor { attn_norm, q, k, v, o, ffn_norm, gate, up, down };
enum class GlobalTensor { token_embedding, output_norm, lm_head };

struct TensorShape {
    std::int64_t rows = 0;
    std::int64_t cols = 0;
    friend bool operator==(TensorShape const&, TensorShape const&) = default;
};
/// Shapes that `config` demands: linear weights [out_features, in_features], norms [1, hidden_dim].
[[nodiscard]] TensorShape expected_shape(ModelConfig const& config, LayerTensor tensor);
[[nodiscard]] TensorShape expected_shape(ModelConfig const& config, GlobalTensor tensor);

/// A model as the engine reads it, whatever its format: a .gguf file, a folder with config.json, model.safetensors,
/// tokenizer.json and tokenizer_config.json, or a .safetensors file beside its config.json.
///
/// Opening checks everything that can be checked without reading the weights: the configuration is one that longhaul
/// computes exactly (Llama; other architectures, RoPE scaling, biases, sliding windows, experts are refused by name), and
/// every tensor is there once, with the expected shape and a type that can be read. A tensor that the Llama architecture
/// has no place for is refused too, since leaving it out would change the results.
///
/// Limits      a file cut short by another process after it was opened ends this one with SIGBUS (mapped_file.hpp)
/// Errors      ValidationError naming file, problem, place and remedy
/// Thread      const functions may run concurrently
class ModelFile {
  public:
    [[nodiscard]] static std::unique_ptr<ModelFile> open(std::filesystem::path const& path);
    /// A model without weights: `folder` has a config.json, and read() makes the numbers from the seed: matrices with a
    /// standard deviation of 1 / sqrt(columns), norms of ones. For measurements; what such a model says means nothing.
    [[nodiscard]] static std::unique_ptr<ModelFile> open_random(std::filesystem::path const& folder,
                                                                std::uint64_t seed);
    ~ModelFile();
    ModelFile(ModelFile const&) = delete;
    ModelFile& operator=(ModelFile const&) = delete;

    /// The path given to open().
    [[nodiscard]] std::filesystem::path const& path() const { return path_; }
    /// "GGUF", "safetensors" or "random weights".
    [[nodiscard]] char const* format() const;
    [[nodiscard]] std::int64_t file_bytes() const;
    [[nodiscard]] ModelConfig const& config() const { return config_; }
    [[nodiscard]] TokenizerData const& tokenizer() const { return tokenizer_; }
    [[nodiscard]] bool is_random() const { return format_ == Format::random; }
    /// Of a model opened with open_random: what read() reads (not norms), for backends that make it in place.
    [[nodiscard]] RandomMatrix random_matrix(LayerTensor tensor, std::int64_t layer) const;
    [[nodiscard]] RandomMatrix random_matrix(GlobalTensor tensor) const;
    /// All tensors of the file under their own names, in file order.
    [[nodiscard]] std::vector<TensorInfo> const& tensors() const;

    /// 32 hexadecimal digits that identify the model without reading all of it: XXH3 (128 bits) over configuration,
    /// tokenizer, names, types, shapes and places of all tensors, the file's size, and 256 evenly spaced samples of
    /// 4 KiB of the tensor data. Two models that differ only between the samples (a few patched weights) get the same
    /// fingerprint. Independent of the path; the same model in another format has another fingerprint.
    [[nodiscard]] std::string fingerprint() const;

    /// Whether the file has such a tensor of its own. False only for the lm_head of a model with tied embeddings.
    [[nodiscard]] bool has(LayerTensor tensor, std::int64_t layer) const;
    [[nodiscard]] bool has(GlobalTensor tensor) const;
    /// Not of random weights: directory entry of the tensor behind read() (type, bytes); a tied lm_head gives the embedding's.
    [[nodiscard]] TensorInfo const& info(LayerTensor tensor, std::int64_t layer) const;
    [[nodiscard]] TensorInfo const& info(GlobalTensor tensor) const;

    /// Reads rows x cols as float. Always in the convention of Hugging Face: rows of Q and K in the half-split rotary
    /// order (row j of a head is rotated together with row j + head_dim / 2). GGUF stores them for interleaved rotation:
    /// row h * d + 2 * j + p of the file is row h * d + p * d / 2 + j here, and is read from there.
    /// Shapes      expected_shape(); out [rows.size(), cols.size()], row-major, leading dimension out_ld >= cols.size()
    /// Requires    layer in [0, num_layers); ranges inside the shape
    void read(LayerTensor tensor, std::int64_t layer, Range rows, Range cols, float* out,
              std::int64_t out_ld) const;
    /// A tied lm_head reads the embedding.
    void read(GlobalTensor tensor, Range rows, Range cols, float* out, std::int64_t out_ld) const;

  private:
    enum class Format { gguf, safetensors, random };

    ModelFile(std::filesystem::path path, Format format, std::unique_ptr<WeightFile> weights,
              ModelConfig config, TokenizerData tokenizer);
    [[nodiscard]] static std::unique_ptr<ModelFile> open_gguf(std::filesystem::path const& path);
    [[nodiscard]] static std::unique_ptr<ModelFile> open_safetensors(
        std::filesystem::path const& path, std::filesystem::path const& weights);
    [[nodiscard]] RandomMatrix random_matrix(std::uint64_t number, TensorShape shape) const;
    [[nodiscard]] TensorInfo const& require(std::string const& name, TensorShape shape) const;
    void find_tensors();
    void refuse_unknown_tensors() const;

    std::filesystem::path path_;
    Format format_;
    std::unique_ptr<WeightFile> weights_;  ///< null with random weights
    std::uint64_t seed_ = 0;               ///< of random weights
    ModelConfig config_;
    TokenizerData tokenizer_;
    std::vector<TensorInfo const*> layer_tensors_;   ///< [layer][LayerTensor]
    std::vector<TensorInfo const*> global_tensors_;  ///< [GlobalTensor]
};

}  // namespace longhaul::io
