#include "io/model_file_config.hpp"

#include "base/error.hpp"

#include <cmath>

namespace longhaul::io {
namespace {

// Larger than any model; small enough that products of two of them are far from overflow.
constexpr std::int64_t kMostLayers = 10'000;
constexpr std::int64_t kMostHeads = 65'536;
constexpr std::int64_t kLargestWidth = std::int64_t{1} << 24;
constexpr std::int64_t kLargestVocabulary = std::int64_t{1} << 27;
constexpr std::int64_t kLongestContext = std::int64_t{1} << 40;

void check_token(std::string const& file, char const* name, std::int64_t token,
                 std::int64_t vocab_size) {
    LH_VALIDATE(token >= 0 && token < vocab_size,
                "{}: the {} token is {}, which is not in the vocabulary of {}; the configuration "
                "does not belong to this "
                "model",
                file, name, token, vocab_size);
}

}  // namespace

void check_limits(std::string const& file, char const* name, std::int64_t value, std::int64_t low,
                  std::int64_t high) {
    LH_VALIDATE(value >= low && value <= high,
                "{}: {} is {}, but must lie between {} and {}; the configuration is damaged or of "
                "another kind of model",
                file, name, value, low, high);
}

void check_config(std::string const& file, ModelConfig const& config) {
    check_limits(file, "the number of layers", config.num_layers, 1, kMostLayers);
    check_limits(file, "the hidden size", config.hidden_dim, 1, kLargestWidth);
    check_limits(file, "the number of heads", config.num_heads, 1, kMostHeads);
    check_limits(file, "the number of KV heads", config.num_kv_heads, 1, kMostHeads);
    check_limits(file, "the FFN size", config.ffn_dim, 1, kLargestWidth);
    check_limits(file, "the vocabulary size", config.vocab_size, 1, kLargestVocabulary);
    check_limits(file, "the trained context length", config.trained_context, 0, kLongestContext);
    LH_VALIDATE(config.num_heads % config.num_kv_heads == 0,
                "{}: {} query heads cannot share {} KV heads evenly; such models are not supported",
                file, config.num_heads, config.num_kv_heads);
    LH_VALIDATE(config.head_dim % 8 == 0 && config.head_dim >= 8 && config.head_dim <= 256,
                "{}: the head dimension is {}; longhaul supports multiples of 8 up to 256", file,
                config.head_dim);
    LH_VALIDATE(
        std::isfinite(config.rms_epsilon) && config.rms_epsilon > 0 && config.rms_epsilon < 1,
        "{}: the RMS norm epsilon is {}, but must lie between 0 and 1; the configuration is "
        "damaged",
        file, config.rms_epsilon);
    LH_VALIDATE(std::isfinite(config.rope_theta) && config.rope_theta > 0,
                "{}: the RoPE base is {}, but must be positive; the configuration is damaged", file,
                config.rope_theta);
    if (config.bos_token != -1) {
        check_token(file, "beginning-of-sequence", config.bos_token, config.vocab_size);
    }
    for (TokenId const token : config.eos_tokens) {
        check_token(file, "end-of-sequence", token, config.vocab_size);
    }
}

}  // namespace longhaul::io
