#pragma once

#include "base/range.hpp"
#include "base/types.hpp"
#include "text/pretokenizer.hpp"
#include "text/tokenizer_spec.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace longhaul::text {

class AddedTokens;
class BpeModel;
class WordCache;

/// Whether control tokens written out in the text ("<|im_end|>") become those tokens.
enum class SpecialTokens {
    parse,  ///< for text we or the chat template wrote
    plain_text,  ///< for documents and prompts: their bytes are data and can never become a control token
};

/// Whether decode shows the text of control tokens.
enum class ControlTokens { skip, keep };

/// Tokens of a text and the pre-tokens that they came from, both in text order; the pre-tokens cover the text without gaps.
struct Encoding {
    std::vector<TokenId> ids;
    std::vector<PreToken> pretokens;
};

/// Number of leading tokens of `encoding` that depend only on the first `byte_offset` bytes of its text: the tokens of all
/// leading pre-tokens whose `look_end` is at most `byte_offset`. Any other text that begins with the same `byte_offset` bytes
/// (and treats the same parts of them as template) begins with exactly these tokens and gets the same number here,
/// whatever follows. In ordinary text the last word is left out; with user-defined tokens as many bytes more as the longest
/// of them has. A pre-token that ends at `byte_offset` counts if nothing can lengthen it (a contraction such as 's, a digit
/// that stands apart, a complete added token).
[[nodiscard]] std::int64_t tokens_before(Encoding const& encoding, std::int64_t byte_offset);

/// Byte-level BPE with the results of Hugging Face `tokenizers`. Immutable: all members may be called from several threads.
/// Memory     about 60 bytes per vocabulary entry and 40 per merge
/// Source     Sennrich et al. 2016, arXiv:1508.07909; byte alphabet of Radford et al. 2019 (GPT-2)
class Tokenizer {
  public:
    /// Errors: ValidationError for an unknown pre-tokeniser, a merge whose parts or result the vocabulary lacks, ids out of range.
    explicit Tokenizer(TokenizerSpec spec);
    ~Tokenizer();
    Tokenizer(Tokenizer&&) noexcept;
    Tokenizer& operator=(Tokenizer&&) noexcept;
    Tokenizer(Tokenizer const&) = delete;
    Tokenizer& operator=(Tokenizer const&) = delete;

    /// Adds no beginning-of-sequence token: see add_bos(). User-defined tokens (type 4) are found in every mode.
    /// Errors: ValidationError with the offset if the text is not valid UTF-8.
    /// Cost: linear in the text (n log n in the length of a single word).
    [[nodiscard]] Encoding encode(std::string_view text, SpecialTokens specials) const;

    /// Control tokens are recognised only where they lie wholly inside one of `control_ranges` (byte ranges of `text`,
    /// ascending, disjoint); pre-tokenisation does not see the borders of these ranges.
    [[nodiscard]] Encoding encode(std::string_view text,
                                  std::span<Range const> control_ranges) const;

    /// Bytes of the tokens, in order: a text cut between tokens may begin or end inside a UTF-8 sequence.
    [[nodiscard]] std::string decode(std::span<TokenId const> ids,
                                     ControlTokens control = ControlTokens::skip) const;

    /// Requires 0 <= id < vocab_size(), as do is_special and token_text.
    [[nodiscard]] std::string const& token_bytes(TokenId id) const;
    /// Control or unknown token (types 2 and 3).
    [[nodiscard]] bool is_special(TokenId id) const;
    /// As stored in the file (byte-level alphabet).
    [[nodiscard]] std::string const& token_text(TokenId id) const;

    /// Token whose stored text this is.
    [[nodiscard]] std::optional<TokenId> find(std::string_view token_text) const;
    [[nodiscard]] std::int64_t vocab_size() const;

    [[nodiscard]] std::optional<TokenId> bos_token() const;
    [[nodiscard]] std::optional<TokenId> eos_token() const;
    /// The model file asks for a beginning-of-sequence token in front of raw text.
    [[nodiscard]] bool add_bos() const { return spec_.add_bos; }

  private:
    void encode_run(std::string_view text, Range run, WordCache& words, Encoding& out) const;
    void finish_look_ends(std::span<Range const> control_ranges, Encoding& encoding) const;

    TokenizerSpec spec_;                                   // without its merges
    std::vector<std::string> bytes_;                       // per token
    std::unordered_map<std::string_view, TokenId> index_;  // views into spec_.tokens
    std::unique_ptr<BpeModel const> model_;
    std::unique_ptr<AddedTokens const> added_;
    std::unique_ptr<PreTokenizer const> pretokenizer_;
};

}  // namespace longhaul::text
