#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace longhaul::test {

/// A byte-level BPE vocabulary laid out as SmolLM2's: three special tokens, the 256 bytes in GPT-2's alphabet, merged
/// tokens, and special fillers where the vocabulary is larger than that.
struct TinyTokenizer {
    std::vector<std::string> tokens;
    std::vector<std::string> merges;  ///< "left right", best first
    std::vector<bool> special;        ///< by token id
};

inline constexpr std::int32_t kEndOfText = 0;  ///< "<|endoftext|>"
inline constexpr std::int32_t kImStart = 1;    ///< "<|im_start|>", the model's bos
inline constexpr std::int32_t kImEnd = 2;      ///< "<|im_end|>", the model's eos
inline constexpr std::int32_t kFirstByte = 3;  ///< in the order of GPT-2's alphabet: '!' is 3

/// Requires    vocab_size >= 259, the special tokens and the bytes
[[nodiscard]] TinyTokenizer tiny_tokenizer(std::int64_t vocab_size);

/// ChatML as a Jinja template.
[[nodiscard]] std::string tiny_chat_template();

/// The text of a tokenizer.json as the tokenizers library reads it: single digits, then GPT-2's byte-level split.
[[nodiscard]] std::string tokenizer_json(TinyTokenizer const& tokenizer);

}  // namespace longhaul::test
