#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace longhaul::text::jinja {

enum class TokenKind {
    data,         ///< literal text
    block_begin,  ///< {%
    block_end,
    print_begin,  ///< {{
    print_end,
    name,
    string,  ///< text: the value, escapes resolved
    integer,
    real,
    symbol,  ///< operator or bracket
    end,
};

struct Token {
    TokenKind kind = TokenKind::end;
    std::string text;
    int line = 1;
};

/// Cuts a template as Jinja2 does with trim_blocks and lstrip_blocks on and keep_trailing_newline off, which is how
/// transformers runs chat templates. Comments vanish. The last token is `end`.
/// Errors: ValidationError with the line. Requires valid UTF-8.
[[nodiscard]] std::vector<Token> tokenize(std::string_view source);

}  // namespace longhaul::text::jinja
