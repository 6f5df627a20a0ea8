#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace longhaul::text {

/// A stretch of text that BPE treats alone (a word with its leading space, a run of blanks, an added token). Offsets are bytes
/// of the whole text; a pre-token ends where the next one begins.
struct PreToken {
    std::int64_t byte_begin = 0;
    std::int64_t token_begin = 0;  ///< index of its first token; a pre-token may have none
    /// Only bytes in front of this offset decided where this pre-token and all earlier ones end; seeing that the text ends
    /// counts as reading one byte more. Never decreases from one pre-token to the next.
    std::int64_t look_end = 0;
};

/// Cuts text between added tokens into pre-tokens. Immutable and shared by threads.
class PreTokenizer {
  public:
    virtual ~PreTokenizer() = default;
    PreTokenizer() = default;
    PreTokenizer(PreTokenizer const&) = delete;
    PreTokenizer& operator=(PreTokenizer const&) = delete;

    /// Appends the pre-tokens of `run` (valid UTF-8) with all offsets moved by `base`; token_begin stays 0.
    virtual void split(std::string_view run, std::int64_t base,
                       std::vector<PreToken>& out) const = 0;
};

/// "gpt-2", "smollm" or, with a pattern, "regex". Errors: ValidationError that names an unknown one.
[[nodiscard]] std::unique_ptr<PreTokenizer const> make_pretokenizer(
    std::string const& name, std::string const& split_pattern);

}  // namespace longhaul::text
