// make_weight_seeds GGUF_FOLDER SAFETENSORS_FOLDER: small sound models in every type, for the fuzzers to start from.
#include "support/models/gguf_writer.hpp"
#include "support/models/tiny_model.hpp"

#include <cstdio>
#include <filesystem>

namespace {

using longhaul::io::TensorType;
using longhaul::test::TinyModelSpec;

std::string with_length(std::string const& text) {
    return longhaul::test::le_bytes(static_cast<std::uint16_t>(text.size())) + text;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "make_weight_seeds GGUF_FOLDER SAFETENSORS_FOLDER\n");
        return 2;
    }
    std::filesystem::path const gguf = argv[1];
    std::filesystem::path const safetensors = argv[2];
    std::filesystem::create_directories(gguf);
    std::filesystem::create_directories(safetensors);
    for (TensorType const type : {TensorType::f32, TensorType::f16, TensorType::bf16,
                                  TensorType::q4_0, TensorType::q4_1, TensorType::q8_0}) {
        TinyModelSpec spec;
        spec.num_layers = 1;
        spec.num_heads = 2;
        spec.num_kv_heads = 1;
        spec.head_dim = 8;
        spec.hidden_dim = type == TensorType::f32 ? 8 : 32;
        spec.ffn_dim = spec.hidden_dim;
        spec.vocab_size = 261;
        spec.tied = type != TensorType::f16;
        spec.type = type;
        std::string const name = std::string("seed-") + longhaul::io::tensor_type_name(type);
        longhaul::test::write_gguf(spec, gguf / name);
        if (type == TensorType::f32 || type == TensorType::f16 || type == TensorType::bf16) {
            longhaul::test::write_file(safetensors / name,
                                       with_length(longhaul::test::tiny_config_json(spec)) +
                                           longhaul::test::tiny_safetensors_bytes(spec));
        }
    }
    return 0;
}
