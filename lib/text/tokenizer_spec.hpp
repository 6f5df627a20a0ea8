#pragma once

#include "base/types.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace longhaul::text {

/// Numbers of GGUF's tokenizer.ggml.token_type.
enum class TokenType : std::int32_t {
    normal = 1,
    unknown = 2,
    control = 3,
    user_defined = 4,
    unused = 5,
    byte = 6
};

/// A byte-level BPE tokeniser as files describe it. lib/io fills it from GGUF metadata, load_tokenizer_json from
/// tokenizer.json; Tokenizer checks it.
struct TokenizerSpec {
    std::vector<std::string>
        tokens;  ///< id -> text in the byte-level alphabet, control tokens as they are written
    std::vector<std::string> merges;        ///< "left right", best first
    std::vector<std::int32_t> token_types;  ///< one per token (TokenType), or empty: all normal

    /// tokenizer.ggml.pre: "gpt-2", "smollm" (every digit apart, then gpt-2); "regex" takes `split_pattern`.
    std::string pre_tokenizer;
    /// PCRE2 pattern whose matches are the pre-tokens (what lies between matches is one, too). Only for "regex".
    std::string split_pattern;

    TokenId bos_token = -1;  ///< -1: none
    TokenId eos_token = -1;  ///< -1: none
    bool add_bos = false;    ///< tokenizer.ggml.add_bos_token

    /// Stands for a byte that has no token of its own (unk_token of tokenizer.json). -1: such bytes vanish, as in
    /// llama.cpp and Hugging Face tokenizers; GGUF's unknown_token_id does not belong here.
    TokenId missing_byte_token = -1;
};

}  // namespace longhaul::text
