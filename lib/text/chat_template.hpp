#pragma once

#include "text/jinja.hpp"
#include "text/tokenizer.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace longhaul::text {

struct ChatMessage {
    std::string role;
    std::string content;
};

/// A stretch of rendered text of one origin.
struct TextPiece {
    std::string text{};
    bool from_message = false;        ///< role or content of a message: data, never control tokens
    std::int64_t message_index = -1;  ///< message whose content this is; -1 for everything else
    std::int64_t content_begin = 0;   ///< offset of the piece in that content, bytes
};

/// A model's chat template. Immutable: threads may render at the same time.
class ChatTemplate {
  public:
    /// `source` is Jinja; the tokens are what the template sees as bos_token and eos_token.
    /// Errors: ValidationError with the line.
    ChatTemplate(std::string source, std::string bos_token, std::string eos_token);

    /// The rendered text in order, neighbours of the same origin joined, none empty.
    /// Errors: ValidationError, also where the template itself refuses the messages or a text is not UTF-8.
    [[nodiscard]] std::vector<TextPiece> render_pieces(std::span<ChatMessage const> messages,
                                                       bool add_generation_prompt) const;
    [[nodiscard]] std::string render(std::span<ChatMessage const> messages,
                                     bool add_generation_prompt) const;

    /// 16 hexadecimal digits over source and tokens: results of different templates must not mix.
    [[nodiscard]] std::string fingerprint() const;

  private:
    [[nodiscard]] TrackedString render_tracked(std::span<ChatMessage const> messages,
                                               bool add_generation_prompt) const;

    std::string source_;
    std::string bos_token_;
    std::string eos_token_;
    jinja::Template template_;
};

/// Tokens of the pieces' joined text, cut into pre-tokens as one text. Control tokens are found in what the template wrote and
/// nowhere else; without control-token text in the messages the ids are those of encode(joined text, SpecialTokens::parse).
/// Byte offsets in the result count from the beginning of the joined text.
[[nodiscard]] Encoding encode_chat(Tokenizer const& tokenizer, std::span<TextPiece const> pieces);

/// Where byte `content_offset` of a message's content stands in the joined text; `content_offset` may be the content's size
/// (the end). An offset that the template trimmed away moves to the nearest byte that is there. Empty if the template does not
/// show this content in one piece exactly once.
[[nodiscard]] std::optional<std::int64_t> rendered_offset(std::span<TextPiece const> pieces,
                                                          std::int64_t message_index,
                                                          std::int64_t content_offset);

}  // namespace longhaul::text
