#include "io/model_file.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"
#include "io/gguf_file.hpp"
#include "io/gguf_model.hpp"
#include "io/model_file_names.hpp"
#include "io/weight_file.hpp"

#include <cmath>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

namespace longhaul::io {
namespace {

std::size_t slot(LayerTensor tensor, std::int64_t layer) {
    return static_cast<std::size_t>(layer * kLayerTensors + static_cast<std::int64_t>(tensor));
}

constexpr LayerTensor layer_tensor(std::int64_t index) { return static_cast<LayerTensor>(index); }
constexpr GlobalTensor global_tensor(std::int64_t index) {
    return static_cast<GlobalTensor>(index);
}

// No matrix: a norm of ones.
void fill(std::optional<RandomMatrix> const& matrix, Range rows, Range cols, float* out,
          std::int64_t out_ld) {
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        for (std::int64_t col = cols.begin; col < cols.end; ++col) {
            out[(row - rows.begin) * out_ld + col - cols.begin] =
                matrix ? matrix->at(row, col) : 1.0F;
        }
    }
}

}  // namespace

TensorShape expected_shape(ModelConfig const& config, LayerTensor tensor) {
    std::int64_t const hidden = config.hidden_dim;
    std::int64_t const query = config.num_heads * config.head_dim;
    std::int64_t const kv = config.num_kv_heads * config.head_dim;
    switch (tensor) {
        case LayerTensor::attn_norm:
        case LayerTensor::ffn_norm:
            return {1, hidden};
        case LayerTensor::q:
            return {query, hidden};
        case LayerTensor::k:
        case LayerTensor::v:
            return {kv, hidden};
        case LayerTensor::o:
            return {hidden, query};
        case LayerTensor::gate:
        case LayerTensor::up:
            return {config.ffn_dim, hidden};
        case LayerTensor::down:
            return {hidden, config.ffn_dim};
    }
    return {};
}

TensorShape expected_shape(ModelConfig const& config, GlobalTensor tensor) {
    return tensor == GlobalTensor::output_norm ? TensorShape{1, config.hidden_dim}
                                               : TensorShape{config.vocab_size, config.hidden_dim};
}

ModelFile::ModelFile(std::filesystem::path path, Format format, std::unique_ptr<WeightFile> weights,
                     ModelConfig config, TokenizerData tokenizer)
    : path_(std::move(path)),
      format_(format),
      weights_(std::move(weights)),
      config_(std::move(config)),
      tokenizer_(std::move(tokenizer)) {
    if (weights_ != nullptr) {
        find_tensors();
        refuse_unknown_tensors();
    }
}

ModelFile::~ModelFile() = default;

std::unique_ptr<ModelFile> ModelFile::open(std::filesystem::path const& path) {
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) {
        return open_safetensors(path, path / "model.safetensors");
    }
    if (path.extension() == ".safetensors") {
        return open_safetensors(path, path);
    }
    return open_gguf(path);
}

std::unique_ptr<ModelFile> ModelFile::open_gguf(std::filesystem::path const& path) {
    std::unique_ptr<GgufFile> file = GgufFile::open(path);
    ModelConfig config = gguf_config(*file);
    TokenizerData tokenizer = gguf_tokenizer(*file);
    return std::unique_ptr<ModelFile>(new ModelFile(path, Format::gguf, std::move(file),
                                                    std::move(config), std::move(tokenizer)));
}

RandomMatrix ModelFile::random_matrix(std::uint64_t number, TensorShape shape) const {
    LH_EXPECT(is_random());
    return make_random_matrix(seed_, number, shape.cols,
                              1.0 / std::sqrt(static_cast<double>(shape.cols)));
}
RandomMatrix ModelFile::random_matrix(LayerTensor tensor, std::int64_t layer) const {
    return random_matrix(static_cast<std::uint64_t>(kGlobalTensors) + slot(tensor, layer),
                         expected_shape(config_, tensor));
}
RandomMatrix ModelFile::random_matrix(GlobalTensor tensor) const {
    GlobalTensor const source = has(tensor) ? tensor : GlobalTensor::token_embedding;
    return random_matrix(static_cast<std::uint64_t>(source), expected_shape(config_, source));
}

TensorInfo const& ModelFile::require(std::string const& name, TensorShape shape) const {
    std::string const file = weights_->file().path().string();
    TensorInfo const* const found = weights_->find(name);
    std::string_view const foreign = weights_->foreign_type(name);
    LH_VALIDATE(foreign.empty(),
                "{}: tensor {} has type {}, which longhaul does not read; use a model of type F32, "
                "F16, BF16, Q4_0, Q4_1 or "
                "Q8_0",
                file, shown(name), foreign);
    LH_VALIDATE(found != nullptr,
                "{}: tensor {} is missing, but the configuration asks for it; the file is "
                "incomplete: get it again, or "
                "convert the model again",
                file, shown(name));
    std::vector<std::int64_t> const expected =
        shape.rows == 1 ? std::vector{shape.cols} : std::vector{shape.rows, shape.cols};
    // A matrix may have a single row (a vocabulary of one); a norm must have one dimension.
    LH_VALIDATE(found->shape == expected || found->shape == std::vector({shape.rows, shape.cols}),
                "{}: tensor {} at byte {} has the shape {}, but the configuration asks for {}; "
                "file and configuration do "
                "not belong together",
                file, shown(name), found->file_offset, shape_text(found->shape),
                shape_text(expected));
    return *found;
}

void ModelFile::find_tensors() {
    bool const gguf = format_ == Format::gguf;
    for (std::int64_t layer = 0; layer < config_.num_layers; ++layer) {
        for (std::int64_t i = 0; i < kLayerTensors; ++i) {
            LayerTensor const tensor = layer_tensor(i);
            std::string const name = gguf ? gguf_name(tensor, layer) : hf_name(tensor, layer);
            layer_tensors_.push_back(&require(name, expected_shape(config_, tensor)));
        }
    }
    for (std::int64_t i = 0; i < kGlobalTensors; ++i) {
        GlobalTensor const tensor = global_tensor(i);
        GlobalTensor const source = tensor == GlobalTensor::lm_head && config_.tied_embeddings
                                        ? GlobalTensor::token_embedding
                                        : tensor;
        std::string const name = gguf ? gguf_name(source) : hf_name(source);
        global_tensors_.push_back(&require(name, expected_shape(config_, source)));
    }
}

void ModelFile::refuse_unknown_tensors() const {
    std::set<std::string_view> known;
    for (TensorInfo const* tensor : layer_tensors_) {
        known.insert(tensor->name);
    }
    for (TensorInfo const* tensor : global_tensors_) {
        known.insert(tensor->name);
    }
    // Transformers ignores the stored head of a model that declares its embeddings tied; so do we.
    std::string const tied_head = hf_name(GlobalTensor::lm_head);
    auto const refuse_unless_known = [&](std::string const& name) {
        LH_VALIDATE(known.contains(name) || is_harmless_extra(name) ||
                        (config_.tied_embeddings && name == tied_head),
                    "{}: the file has a tensor {} that the plain Llama architecture does not use "
                    "(a bias, RoPE factors, "
                    "experts or the like); longhaul would compute something else than this model: "
                    "use another one",
                    weights_->file().path().string(), shown(name));
    };
    for (TensorInfo const& tensor : weights_->tensors()) {
        refuse_unless_known(tensor.name);
    }
    for (auto const& [name, type] : weights_->directory().foreign()) {
        refuse_unless_known(name);
    }
}

char const* ModelFile::format() const {
    switch (format_) {
        case Format::gguf:
            return "GGUF";
        case Format::safetensors:
            return "safetensors";
        case Format::random:
            break;
    }
    return "random weights";
}
std::int64_t ModelFile::file_bytes() const {
    return weights_ != nullptr ? weights_->file().size() : 0;
}
std::vector<TensorInfo> const& ModelFile::tensors() const {
    static std::vector<TensorInfo> const none;
    return weights_ != nullptr ? weights_->tensors() : none;
}

bool ModelFile::has(LayerTensor /*tensor*/, std::int64_t layer) const {
    return layer >= 0 && layer < config_.num_layers;  // open() refuses a model that lacks one
}
bool ModelFile::has(GlobalTensor tensor) const {
    return tensor != GlobalTensor::lm_head || !config_.tied_embeddings;
}

TensorInfo const& ModelFile::info(LayerTensor tensor, std::int64_t layer) const {
    LH_EXPECT(weights_ != nullptr && layer >= 0 && layer < config_.num_layers);
    return *layer_tensors_[slot(tensor, layer)];
}
TensorInfo const& ModelFile::info(GlobalTensor tensor) const {
    LH_EXPECT(weights_ != nullptr);
    return *global_tensors_[static_cast<std::size_t>(tensor)];
}

void ModelFile::read(LayerTensor tensor, std::int64_t layer, Range rows, Range cols, float* out,
                     std::int64_t out_ld) const {
    if (is_random()) {
        bool const norm = tensor == LayerTensor::attn_norm || tensor == LayerTensor::ffn_norm;
        fill(norm ? std::nullopt : std::optional(random_matrix(tensor, layer)), rows, cols, out,
             out_ld);
        return;
    }
    TensorInfo const& source = info(tensor, layer);
    bool const permuted =
        format_ == Format::gguf && (tensor == LayerTensor::q || tensor == LayerTensor::k);
    if (!permuted) {
        weights_->read(source, rows, cols, out, out_ld);
        return;
    }
    std::int64_t const dim = config_.head_dim;
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        std::int64_t const in_head = row % dim;
        std::int64_t const pair = in_head % (dim / 2);
        std::int64_t const half = in_head / (dim / 2);
        std::int64_t const stored = row - in_head + 2 * pair + half;
        weights_->read(source, {stored, stored + 1}, cols, out + (row - rows.begin) * out_ld,
                       out_ld);
    }
}

void ModelFile::read(GlobalTensor tensor, Range rows, Range cols, float* out,
                     std::int64_t out_ld) const {
    if (is_random()) {
        bool const norm = tensor == GlobalTensor::output_norm;
        fill(norm ? std::nullopt : std::optional(random_matrix(tensor)), rows, cols, out, out_ld);
        return;
    }
    weights_->read(info(tensor), rows, cols, out, out_ld);
}

}  // namespace longhaul::io
