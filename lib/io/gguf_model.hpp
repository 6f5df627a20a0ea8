#pragma once

#include "base/model_config.hpp"
#include "io/gguf_file.hpp"
#include "io/model_file.hpp"

namespace longhaul::io {

/// Reads the llama.* and tokenizer.ggml.* metadata. ValidationError for another architecture and for every variant that
/// would make the model compute something else than plain Llama (RoPE scaling, experts, windows, partial rotation).
[[nodiscard]] ModelConfig gguf_config(GgufFile const& file);

/// A file without tokenizer.ggml.tokens gives an empty TokenizerData: such a model takes token ids only.
[[nodiscard]] TokenizerData gguf_tokenizer(GgufFile const& file);

}  // namespace longhaul::io
