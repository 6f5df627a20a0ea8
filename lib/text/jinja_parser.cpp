#include "text/jinja_ast.hpp"
#include "text/jinja_error.hpp"
#include "text/jinja_expr_parser.hpp"
#include "text/jinja_lexer.hpp"

#include <charconv>

namespace longhaul::text::jinja {
namespace {

constexpr int kMaxBlockDepth = 100;

class Parser {
  public:
    explicit Parser(std::string_view source) : tokens_(tokenize(source)), expressions_(tokens_) {}

    Block run() {
        Block block = read_block({}, 0);
        if (tokens_.peek().kind == TokenKind::block_begin) {
            fail(tokens_.peek().line, "'{}' without a beginning", tokens_.peek(1).text);
        }
        return block;
    }

  private:
    // Reads until a tag named in `ends`, which stays for the caller. At the outermost level any stray end tag ends the block.
    Block read_block(std::initializer_list<std::string_view> ends, int depth) {
        Block block;
        int const begin_line = tokens_.peek().line;
        if (depth > kMaxBlockDepth) {
            fail(begin_line, "blocks are nested more than {} deep", kMaxBlockDepth);
        }
        while (tokens_.peek().kind != TokenKind::end) {
            Token const& token = tokens_.peek();
            if (token.kind == TokenKind::data) {
                block.push_back({.kind = StmtKind::data,
                                 .line = token.line,
                                 .data = Value(TrackedString(token.text))});
                tokens_.next();
            } else if (token.kind == TokenKind::print_begin) {
                tokens_.next();
                block.push_back(
                    {.kind = StmtKind::print, .line = token.line, .expr = expressions_.read()});
                expect(TokenKind::print_end, "the end of the tag");
            } else if (is_end_tag(tokens_.peek(1))) {
                check_expected_end(ends);
                return block;
            } else {
                tokens_.next();
                block.push_back(read_statement(depth));
            }
        }
        if (ends.size() != 0) {
            fail(begin_line, "the block that begins here has no '{}'", *(ends.end() - 1));
        }
        return block;
    }

    static bool is_end_tag(Token const& name) {
        return name.kind == TokenKind::name &&
               (name.text == "elif" || name.text == "else" || name.text.starts_with("end"));
    }

    void check_expected_end(std::initializer_list<std::string_view> ends) const {
        Token const& tag = tokens_.peek(1);
        for (std::string_view const end : ends) {
            if (tag.text == end) {
                return;
            }
        }
        if (ends.size() != 0) {
            fail(tag.line, "'{}' does not belong here", tag.text);
        }
    }

    Stmt read_statement(int depth) {
        Token const tag = tokens_.next();
        if (tag.kind == TokenKind::name && tag.text == "for") {
            return read_for(tag.line, depth);
        }
        if (tag.kind == TokenKind::name && tag.text == "if") {
            return read_if(tag.line, depth);
        }
        if (tag.kind == TokenKind::name && tag.text == "set") {
            return read_set(tag.line);
        }
        if (tag.kind != TokenKind::name) {
            fail(tag.line, "a block tag begins with a name");
        }
        fail_unsupported(tag.line, "the statement '{}'", tag.text);
    }

    Stmt read_for(int line, int depth) {
        Stmt stmt{.kind = StmtKind::loop, .line = line, .name = read_target("for")};
        if (!tokens_.skip_name("in")) {
            fail_unsupported(line, "'for' with anything but one name before 'in'");
        }
        stmt.expr = expressions_.read_without_conditional();
        ExprPtr condition;
        if (tokens_.skip_name("if")) {
            condition = expressions_.read();
        }
        if (tokens_.peek().text == "recursive") {
            fail_unsupported(line, "'recursive'");
        }
        expect(TokenKind::block_end, "the end of the tag");
        stmt.branches.push_back({std::move(condition), read_block({"else", "endfor"}, depth + 1)});
        if (read_end_tag() == "else") {
            stmt.otherwise = read_block({"endfor"}, depth + 1);
            read_end_tag();
        }
        return stmt;
    }

    Stmt read_if(int line, int depth) {
        Stmt stmt{.kind = StmtKind::branch, .line = line};
        std::string tag = "if";
        while (tag == "if" || tag == "elif") {
            ExprPtr condition = expressions_.read_without_conditional();
            expect(TokenKind::block_end, "the end of the tag");
            stmt.branches.push_back(
                {std::move(condition), read_block({"elif", "else", "endif"}, depth + 1)});
            tokens_.next();
            tag = tokens_.next().text;
            if (tag != "elif") {
                expect(TokenKind::block_end, "the end of the tag");
            }
        }
        if (tag == "else") {
            stmt.otherwise = read_block({"endif"}, depth + 1);
            read_end_tag();
        }
        return stmt;
    }

    Stmt read_set(int line) {
        Stmt stmt{.kind = StmtKind::set, .line = line, .name = read_target("set")};
        if (!tokens_.skip_symbol("=")) {
            fail_unsupported(line, "'set' in any other form than 'set name = value'");
        }
        stmt.expr = expressions_.read();
        expect(TokenKind::block_end, "the end of the tag");
        return stmt;
    }

    std::string read_target(std::string_view statement) {
        Token const name = tokens_.next();
        if (name.kind != TokenKind::name || is_reserved(name.text)) {
            fail(name.line, "'{}' needs the name of a variable", statement);
        }
        return name.text;
    }

    // Reads "{% name %}" and returns the name.
    std::string read_end_tag() {
        tokens_.next();
        std::string name = tokens_.next().text;
        expect(TokenKind::block_end, "the end of the tag");
        return name;
    }

    void expect(TokenKind kind, std::string_view what) {
        Token const& token = tokens_.peek();
        if (token.kind != kind) {
            fail(token.line, "'{}' stands where {} should be", token.text, what);
        }
        tokens_.next();
    }

    TokenStream tokens_;
    ExprParser expressions_;
};

}  // namespace

Block parse(std::string_view source) { return Parser(source).run(); }

}  // namespace longhaul::text::jinja
