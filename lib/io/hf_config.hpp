#pragma once

#include "base/model_config.hpp"
#include "io/model_file.hpp"

#include <filesystem>

namespace longhaul::io {

/// Reads config.json (and generation_config.json, whose end-of-sequence tokens go before config.json's) of a Hugging Face
/// folder. Keys that are absent have the defaults of transformers' LlamaConfig. ValidationError for another architecture
/// and for every variant that would make the model compute something else than plain Llama (RoPE scaling, biases, windows,
/// experts, quantised weights).
[[nodiscard]] ModelConfig hf_config(std::filesystem::path const& folder);

/// Finds tokenizer.json and reads tokenizer_config.json (add_bos_token, chat_template) and chat_template.jinja, which goes
/// before it. All may be absent: such a model takes token ids only. `config` gives bos and eos.
[[nodiscard]] TokenizerData hf_tokenizer(std::filesystem::path const& folder,
                                         ModelConfig const& config);

}  // namespace longhaul::io
