#pragma once

#include "base/types.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace longhaul {

/// Shape of a decoder-only transformer (Llama family). Read from GGUF metadata or config.json (lib/io).
struct ModelConfig {
    std::string architecture;  ///< "llama"
    std::string name;          ///< for people
    std::int64_t num_layers = 0;
    std::int64_t hidden_dim = 0;
    std::int64_t num_heads = 0;
    std::int64_t num_kv_heads = 0;  ///< divides num_heads
    std::int64_t head_dim = 0;      ///< multiple of 8, at most 256
    std::int64_t ffn_dim = 0;
    std::int64_t vocab_size = 0;
    std::int64_t trained_context = 0;  ///< tokens the model was trained for; 0 when unknown
    double rms_epsilon = 1e-5;
    double rope_theta = 10000.0;
    bool tied_embeddings = false;     ///< the LM head is the embedding table
    TokenId bos_token = -1;           ///< -1: none
    std::vector<TokenId> eos_tokens;  ///< any of these ends a generation

    [[nodiscard]] std::int64_t heads_per_kv_head() const { return num_heads / num_kv_heads; }
};

}  // namespace longhaul
