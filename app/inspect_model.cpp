#include "app/inspect_model.hpp"

#include "io/model_file.hpp"
#include "engine/text_model.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <map>
#include <string>

namespace longhaul::app {
namespace {

struct TypeTotal {
    std::int64_t tensors = 0;
    std::int64_t bytes = 0;
};

std::map<std::string, TypeTotal> totals_by_type(io::ModelFile const& file) {
    std::map<std::string, TypeTotal> totals;
    for (io::TensorInfo const& tensor : file.tensors()) {
        TypeTotal& total = totals[io::tensor_type_name(tensor.type)];
        ++total.tensors;
        total.bytes += tensor.bytes;
    }
    return totals;
}

std::int64_t kv_bytes_per_token(ModelConfig const& config, DType dtype) {
    return 2 * config.num_layers * config.num_kv_heads * config.head_dim * dtype_bytes(dtype);
}

void print_json(io::ModelFile const& file, engine::TextModel const& text, std::ostream& out) {
    ModelConfig const& c = file.config();
    nlohmann::ordered_json json;
    json["path"] = file.path().string();
    json["format"] = file.format();
    json["name"] = c.name;
    json["architecture"] = c.architecture;
    json["fingerprint"] = file.fingerprint();
    json["file_bytes"] = file.file_bytes();
    json["num_layers"] = c.num_layers;
    json["hidden_dim"] = c.hidden_dim;
    json["num_heads"] = c.num_heads;
    json["num_kv_heads"] = c.num_kv_heads;
    json["head_dim"] = c.head_dim;
    json["ffn_dim"] = c.ffn_dim;
    json["vocab_size"] = c.vocab_size;
    json["trained_context"] = c.trained_context;
    json["rope_theta"] = c.rope_theta;
    json["tied_embeddings"] = c.tied_embeddings;
    json["eos_tokens"] = c.eos_tokens;
    json["chat_template"] = text.chat_template.has_value();
    json["kv_bytes_per_token"] = {{"bf16", kv_bytes_per_token(c, DType::bf16)},
                                  {"f32", kv_bytes_per_token(c, DType::f32)}};
    for (auto const& [type, total] : totals_by_type(file)) {
        json["tensors"][type] = {{"count", total.tensors}, {"bytes", total.bytes}};
    }
    // Path and name may hold any bytes.
    out << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
}

void print_text(io::ModelFile const& file, engine::TextModel const& text, std::ostream& out) {
    ModelConfig const& c = file.config();
    out << fmt::format("{}: {}, {:.1f} MiB\n", file.path().string(), file.format(),
                       static_cast<double>(file.file_bytes()) / (1024.0 * 1024.0));
    out << fmt::format(
        "  {} {}: {} layers, width {}, {} query / {} KV heads of {}, FFN {}, vocabulary {}{}\n",
        c.architecture, c.name, c.num_layers, c.hidden_dim, c.num_heads, c.num_kv_heads, c.head_dim,
        c.ffn_dim, c.vocab_size, c.tied_embeddings ? " (tied embeddings)" : "");
    out << fmt::format("  trained for {} tokens, RoPE theta {}\n", c.trained_context, c.rope_theta);
    for (auto const& [type, total] : totals_by_type(file)) {
        out << fmt::format("  {:>5} tensors {:<5} {:>10.1f} MiB\n", total.tensors, type,
                           static_cast<double>(total.bytes) / (1024.0 * 1024.0));
    }
    out << fmt::format("  tokenizer: {} tokens, chat template: {}\n", text.tokenizer.vocab_size(),
                       text.chat_template ? "yes" : "none");
    double const gib = 1024.0 * 1024.0 * 1024.0;
    out << fmt::format("  KV cache of one million tokens: {:.1f} GiB in bf16, {:.1f} GiB in f32\n",
                       static_cast<double>(kv_bytes_per_token(c, DType::bf16)) * 1e6 / gib,
                       static_cast<double>(kv_bytes_per_token(c, DType::f32)) * 1e6 / gib);
    out << fmt::format("  fingerprint {}\n", file.fingerprint());
}

}  // namespace

int inspect_model(std::filesystem::path const& path, std::ostream& out, bool json) {
    auto const file = io::ModelFile::open(path);
    engine::TextModel const text = engine::make_text_model(*file);
    json ? print_json(*file, text, out) : print_text(*file, text, out);
    return 0;
}

}  // namespace longhaul::app
