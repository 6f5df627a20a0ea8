#pragma once

#include "text/tokenizer_spec.hpp"

#include <filesystem>
#include <string_view>

namespace longhaul::text {

/// Reads a Hugging Face tokenizer.json: a BPE model with the ByteLevel alphabet, pre-tokeniser ByteLevel (GPT-2), Digits then
/// ByteLevel (SmolLM) or Split by a pattern then ByteLevel, no normaliser. Everything that changes tokens and is not
/// understood is refused by name. bos and eos are not in this file: they stay -1.
/// Errors: ValidationError that names the file (unreadable, not JSON, a setting that is not supported).
[[nodiscard]] TokenizerSpec load_tokenizer_json(std::filesystem::path const& path);

/// The same from memory. `origin` names the source in messages.
[[nodiscard]] TokenizerSpec parse_tokenizer_json(std::string_view json, std::string_view origin);

}  // namespace longhaul::text
