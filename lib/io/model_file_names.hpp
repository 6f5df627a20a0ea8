#pragma once

#include "io/model_file.hpp"

#include <cstdint>
#include <string>
#include <string_view>

/// How the two formats name the tensors of a Llama model.
namespace longhaul::io {

inline constexpr std::int64_t kLayerTensors = 9;
inline constexpr std::int64_t kGlobalTensors = 3;

/// "blk.3.attn_q.weight", "output.weight"
[[nodiscard]] std::string gguf_name(LayerTensor tensor, std::int64_t layer);
[[nodiscard]] std::string gguf_name(GlobalTensor tensor);
/// "model.layers.3.self_attn.q_proj.weight", "lm_head.weight"
[[nodiscard]] std::string hf_name(LayerTensor tensor, std::int64_t layer);
[[nodiscard]] std::string hf_name(GlobalTensor tensor);

/// Tensors that old converters left in files and that hold nothing but the default RoPE frequencies.
[[nodiscard]] bool is_harmless_extra(std::string_view name);

}  // namespace longhaul::io
