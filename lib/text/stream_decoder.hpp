#pragma once

#include "base/types.hpp"

#include <string>

namespace longhaul::text {

class Tokenizer;

/// Turns tokens into text as they come. Only whole code points leave it; bytes that can never become valid UTF-8 come out as
/// U+FFFD. Control tokens show nothing. All pushes and the finish together give to_valid_utf8(tokenizer.decode(all ids)).
class StreamDecoder {
  public:
    /// The tokenizer must outlive the decoder.
    explicit StreamDecoder(Tokenizer const& tokenizer) : tokenizer_(&tokenizer) {}

    [[nodiscard]] std::string push(TokenId id);
    /// What is left of a code point that did not complete; the decoder can then start again.
    [[nodiscard]] std::string finish();

  private:
    Tokenizer const* tokenizer_;
    std::string pending_;  // at most 3 bytes: a sequence that is valid so far
};

}  // namespace longhaul::text
