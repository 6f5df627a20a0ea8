#include "io/model_file_names.hpp"

#include <fmt/format.h>

#include <array>

namespace longhaul::io {
namespace {

constexpr std::array<char const*, kLayerTensors> kGgufLayer{"attn_norm", "attn_q",      "attn_k",
                                                            "attn_v",    "attn_output", "ffn_norm",
                                                            "ffn_gate",  "ffn_up",      "ffn_down"};
constexpr std::array<char const*, kGlobalTensors> kGgufGlobal{"token_embd", "output_norm",
                                                              "output"};
constexpr std::array<char const*, kLayerTensors> kHfLayer{
    "input_layernorm",  "self_attn.q_proj", "self_attn.k_proj",
    "self_attn.v_proj", "self_attn.o_proj", "post_attention_layernorm",
    "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};
constexpr std::array<char const*, kGlobalTensors> kHfGlobal{"model.embed_tokens", "model.norm",
                                                            "lm_head"};

template <class Enum>
std::size_t index(Enum value) {
    return static_cast<std::size_t>(value);
}

}  // namespace

std::string gguf_name(LayerTensor tensor, std::int64_t layer) {
    return fmt::format("blk.{}.{}.weight", layer, kGgufLayer[index(tensor)]);
}
std::string gguf_name(GlobalTensor tensor) {
    return fmt::format("{}.weight", kGgufGlobal[index(tensor)]);
}

std::string hf_name(LayerTensor tensor, std::int64_t layer) {
    return fmt::format("model.layers.{}.{}.weight", layer, kHfLayer[index(tensor)]);
}
std::string hf_name(GlobalTensor tensor) {
    return fmt::format("{}.weight", kHfGlobal[index(tensor)]);
}

bool is_harmless_extra(std::string_view name) {
    return name.ends_with(".rotary_emb.inv_freq") || name.ends_with(".attn_rot_embd.weight");
}

}  // namespace longhaul::io
