#include "base/checked.hpp"
#include "io/model_file.hpp"
#include "io/weight_file.hpp"

#define XXH_INLINE_ALL  // the streaming state then lives on the stack, and nothing needs linking
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace longhaul::io {
namespace {

constexpr std::int64_t kSamples = 256;
constexpr std::int64_t kSampleBytes = 4096;

// Every field goes in with its length in front, so that no two lists of fields look alike.
class Hasher {
  public:
    Hasher() { XXH3_128bits_reset(&state_); }

    void bytes(void const* data, std::size_t size) { XXH3_128bits_update(&state_, data, size); }
    void number(std::int64_t value) { bytes(&value, sizeof(value)); }
    void number(double value) { bytes(&value, sizeof(value)); }
    void text(std::string_view value) {
        number(static_cast<std::int64_t>(value.size()));
        bytes(value.data(), value.size());
    }
    [[nodiscard]] std::string digest() const {
        XXH128_hash_t const hash = XXH3_128bits_digest(&state_);
        return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
    }

  private:
    XXH3_state_t state_{};
};

void add(Hasher& hash, ModelConfig const& config) {
    hash.text(config.architecture);
    for (std::int64_t const number :
         {config.num_layers, config.hidden_dim, config.num_heads, config.num_kv_heads,
          config.head_dim, config.ffn_dim, config.vocab_size, std::int64_t{config.tied_embeddings},
          std::int64_t{config.bos_token}}) {
        hash.number(number);
    }
    hash.number(config.rms_epsilon);
    hash.number(config.rope_theta);
    hash.number(static_cast<std::int64_t>(config.eos_tokens.size()));
    for (TokenId const token : config.eos_tokens) {
        hash.number(std::int64_t{token});
    }
}

void add(Hasher& hash, TokenizerData const& tokenizer) {
    for (auto const* list : {&tokenizer.tokens, &tokenizer.merges}) {
        hash.number(static_cast<std::int64_t>(list->size()));
        for (std::string const& entry : *list) {
            hash.text(entry);
        }
    }
    for (std::int32_t const type : tokenizer.token_types) {
        hash.number(std::int64_t{type});
    }
    hash.text(tokenizer.model);
    hash.text(tokenizer.pre);
    hash.number(std::int64_t{tokenizer.add_bos});
    hash.text(tokenizer.chat_template);
    if (!tokenizer.tokenizer_json.empty()) {
        MappedFile const file(tokenizer.tokenizer_json);
        hash.number(file.size());
        hash.bytes(file.bytes().data(), file.bytes().size());
    }
}

void add_samples(Hasher& hash, std::span<std::byte const> data) {
    auto const size = static_cast<std::int64_t>(data.size());
    std::int64_t const last = std::max<std::int64_t>(size - kSampleBytes, 0);
    for (std::int64_t i = 0; i < kSamples; ++i) {
        // In two parts, so that the product stays small for any size of file.
        std::int64_t const steps = kSamples - 1;
        std::int64_t const offset = last / steps * i + last % steps * i / steps;
        hash.bytes(data.data() + offset,
                   static_cast<std::size_t>(std::min(kSampleBytes, size - offset)));
    }
}

}  // namespace

std::string ModelFile::fingerprint() const {
    Hasher hash;
    hash.text("longhaul model 1");
    add(hash, config_);
    add(hash, tokenizer_);
    if (is_random()) {
        hash.text("random weights");
        hash.bytes(&seed_, sizeof(seed_));
        return hash.digest();
    }
    std::int64_t first = file_bytes();
    for (TensorInfo const& tensor : tensors()) {
        hash.text(tensor.name);
        hash.text(tensor_type_name(tensor.type));
        hash.number(static_cast<std::int64_t>(tensor.shape.size()));
        for (std::int64_t const extent : tensor.shape) {
            hash.number(extent);
        }
        hash.number(tensor.file_offset);
        first = std::min(first, tensor.file_offset);
    }
    hash.number(file_bytes());
    add_samples(hash, weights_->file().bytes().subspan(static_cast<std::size_t>(first)));
    return hash.digest();
}

}  // namespace longhaul::io
