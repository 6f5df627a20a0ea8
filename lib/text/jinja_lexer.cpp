#include "text/jinja_lexer.hpp"

#include "text/jinja_error.hpp"
#include "text/jinja_value.hpp"
#include "text/utf8.hpp"

#include <algorithm>
#include <array>

namespace longhaul::text::jinja {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// Jinja reads every kind of line break as \n and drops one at the end of the template.
std::string normalise_newlines(std::string_view source) {
    std::string out;
    out.reserve(source.size());
    for (std::size_t i = 0; i < source.size(); ++i) {
        if (source[i] == '\r') {
            out.push_back('\n');
            i += i + 1 < source.size() && source[i + 1] == '\n' ? 1 : 0;
        } else {
            out.push_back(source[i]);
        }
    }
    if (!out.empty() && out.back() == '\n') {
        out.pop_back();
    }
    return out;
}

class Lexer {
  public:
    explicit Lexer(std::string_view source) : source_(source) {}

    std::vector<Token> run() {
        while (at_ < source_.size()) {
            read_data();
            if (at_ == source_.size()) {
                break;
            }
            char const kind = source_[at_ + 1];
            skip(2);
            if (at_ < source_.size() && (source_[at_] == '-' || source_[at_] == '+')) {
                skip(1);
            }
            if (kind == '#') {
                skip_comment();
            } else {
                read_tag(kind == '%');
            }
        }
        emit(TokenKind::end, "");
        return std::move(tokens_);
    }

  private:
    void emit(TokenKind kind, std::string text) {
        tokens_.push_back({kind, std::move(text), line_});
    }

    bool looking_at(std::string_view text) const { return source_.substr(at_).starts_with(text); }

    void skip(std::size_t count) {
        line_ += static_cast<int>(
            std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                       source_.begin() + static_cast<std::ptrdiff_t>(at_ + count), '\n'));
        at_ += count;
    }

    void skip_space() {
        while (at_ < source_.size()) {
            CodePoint const point = code_point_at(source_, static_cast<std::int64_t>(at_));
            if (!is_python_space(point.value)) {
                return;
            }
            skip(static_cast<std::size_t>(point.size));
        }
    }

    // Position of the next {{, {% or {#.
    std::size_t find_tag() const {
        for (std::size_t brace = source_.find('{', at_); brace != std::string_view::npos;
             brace = source_.find('{', brace + 1)) {
            if (brace + 1 < source_.size() &&
                std::string_view("{%#").find(source_[brace + 1]) != std::string_view::npos) {
                return brace;
            }
        }
        return source_.size();
    }

    void read_data() {
        std::size_t const tag = find_tag();
        std::string_view const data = source_.substr(at_, tag - at_);
        std::string_view kept = data;
        if (tag < source_.size()) {
            char const sign = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
            if (sign == '-') {
                kept = without_space_at_end(data);
            } else if (sign != '+' && source_[tag + 1] != '{') {
                kept = without_indent(data);
            }
        }
        if (!kept.empty()) {
            emit(TokenKind::data, std::string(kept));
        }
        skip(data.size());
    }

    static std::string_view without_space_at_end(std::string_view data) {
        std::size_t end = 0;
        for (std::size_t at = 0; at < data.size();) {
            CodePoint const point = code_point_at(data, static_cast<std::int64_t>(at));
            at += static_cast<std::size_t>(point.size);
            end = is_python_space(point.value) ? end : at;
        }
        return data.substr(0, end);
    }

    // lstrip_blocks: blanks between the start of a line and a tag vanish.
    std::string_view without_indent(std::string_view data) const {
        std::size_t const newline = data.rfind('\n');
        std::size_t const line_begin = newline == std::string_view::npos ? 0 : newline + 1;
        bool const at_line_start = line_begin > 0 || at_ == 0 || source_[at_ - 1] == '\n';
        bool const blank = without_space_at_end(data.substr(line_begin)).empty();
        return at_line_start && blank ? data.substr(0, line_begin) : data;
    }

    // Reads what may stand at the end of a tag. `close` is "%}", "}}" or "#}".
    bool skip_close(std::string_view close, bool is_print) {
        if (source_[at_] == '-' && source_.substr(at_ + 1).starts_with(close)) {
            skip(1 + close.size());
            skip_space();
            return true;
        }
        if (!is_print && source_[at_] == '+' && source_.substr(at_ + 1).starts_with(close)) {
            skip(1 + close.size());
            return true;
        }
        if (!looking_at(close)) {
            return false;
        }
        skip(close.size());
        if (!is_print && looking_at("\n")) {  // trim_blocks
            skip(1);
        }
        return true;
    }

    void skip_comment() {
        int const begin_line = line_;
        while (at_ < source_.size()) {
            if (skip_close("#}", false)) {
                return;
            }
            skip(1);
        }
        fail(begin_line, "a comment has no end");
    }

    void read_tag(bool is_block) {
        int const begin_line = line_;
        emit(is_block ? TokenKind::block_begin : TokenKind::print_begin, "");
        while (at_ < source_.size()) {
            int const end_line = line_;
            if (skip_close(is_block ? "%}" : "}}", !is_block)) {
                tokens_.push_back(
                    {is_block ? TokenKind::block_end : TokenKind::print_end, "", end_line});
                return;
            }
            read_token();
        }
        fail(begin_line, "a tag has no end");
    }

    void read_token() {
        char const first = source_[at_];
        if (is_python_space(code_point_at(source_, static_cast<std::int64_t>(at_)).value)) {
            skip_space();
        } else if (is_digit(first)) {
            read_number();
        } else if (is_name_start(first)) {
            std::size_t const begin = at_;
            while (at_ < source_.size() &&
                   (is_name_start(source_[at_]) || is_digit(source_[at_]))) {
                ++at_;
            }
            emit(TokenKind::name, std::string(source_.substr(begin, at_ - begin)));
        } else if (first == '\'' || first == '"') {
            read_string(first);
        } else {
            read_symbol();
        }
    }

    void read_number() {
        std::size_t end = digits_end(at_);
        TokenKind kind = TokenKind::integer;
        if (end + 1 < source_.size() && source_[end] == '.' && is_digit(source_[end + 1])) {
            kind = TokenKind::real;
            end = digits_end(end + 1);
        }
        if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
            std::size_t const sign =
                end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-')
                    ? 1
                    : 0;
            if (std::size_t const exponent_end = digits_end(end + 1 + sign);
                exponent_end > end + 1 + sign) {
                kind = TokenKind::real;
                end = exponent_end;
            }
        }
        std::string number(source_.substr(at_, end - at_));
        bool const octal_look = kind == TokenKind::integer && number.size() > 1 && number[0] == '0';
        if (octal_look || (end < source_.size() && is_name_start(source_[end]))) {
            fail_unsupported(line_, "the number '{}...'", number);
        }
        emit(kind, std::move(number));
        at_ = end;
    }

    std::size_t digits_end(std::size_t from) const {
        std::size_t end = std::min(from, source_.size());
        while (end < source_.size() && is_digit(source_[end])) {
            ++end;
        }
        return end;
    }

    void read_string(char quote) {
        int const begin_line = line_;
        std::string value;
        skip(1);
        while (at_ < source_.size() && source_[at_] != quote) {
            if (source_[at_] == '\\' && at_ + 1 < source_.size()) {
                read_escape(value);
            } else {
                value.push_back(source_[at_]);
                skip(1);
            }
        }
        if (at_ == source_.size()) {
            fail(begin_line, "a string has no end");
        }
        skip(1);
        tokens_.push_back({TokenKind::string, std::move(value), begin_line});
    }

    // Python's escapes; an unknown one stays as it is.
    void read_escape(std::string& value) {
        char const kind = source_[at_ + 1];
        constexpr std::string_view kNames = "\\'\"abfnrtv";
        constexpr std::string_view kValues = "\\'\"\a\b\f\n\r\t\v";
        if (std::size_t const simple = kNames.find(kind); simple != std::string_view::npos) {
            value.push_back(kValues[simple]);
            skip(2);
        } else if (kind == '\n') {
            skip(2);
        } else if (kind == 'x' || kind == 'u' || kind == 'U') {
            skip(2);
            append_utf8(value, read_hex(kind == 'x' ? 2 : kind == 'u' ? 4 : 8));
        } else if (kind == 'N' || is_digit(kind)) {
            fail_unsupported(line_, "the escape '\\{}'", kind);
        } else {
            value.push_back('\\');
            skip(1);
        }
    }

    char32_t read_hex(std::size_t digits) {
        char32_t code_point = 0;
        for (std::size_t i = 0; i < digits; ++i) {
            constexpr std::string_view kDigits = "0123456789abcdefABCDEF";
            std::size_t const digit =
                at_ < source_.size() ? kDigits.find(source_[at_]) : std::string_view::npos;
            if (digit == std::string_view::npos) {
                fail(line_, "a character escape needs {} hexadecimal digits", digits);
            }
            code_point = code_point * 16 + static_cast<char32_t>(digit < 16 ? digit : digit - 6);
            skip(1);
        }
        if (code_point > 0x10ffff || (code_point >= 0xd800 && code_point < 0xe000)) {
            fail(line_, "a character escape is no character");
        }
        return code_point;
    }

    void read_symbol() {
        constexpr std::array<std::string_view, 26> kSymbols{
            "==", "!=", "<=", ">=", "//", "**", "<", ">", "=", "+", "-", "*", "/",
            "%",  "~",  "|",  ".",  ",",  ":",  "(", ")", "[", "]", "{", "}", ";"};
        for (std::string_view const symbol : kSymbols) {
            if (looking_at(symbol)) {
                emit(TokenKind::symbol, std::string(symbol));
                at_ += symbol.size();
                return;
            }
        }
        auto const size =
            static_cast<std::size_t>(code_point_at(source_, static_cast<std::int64_t>(at_)).size);
        fail(line_, "the character '{}' has no meaning here", source_.substr(at_, size));
    }

    std::string_view source_;
    std::size_t at_ = 0;
    int line_ = 1;
    std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
    std::string const normalised = normalise_newlines(source);
    return Lexer(normalised).run();
}

}  // namespace longhaul::text::jinja
