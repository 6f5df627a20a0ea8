#pragma once

#include "text/jinja_ast.hpp"
#include "text/jinja_lexer.hpp"

#include <string_view>
#include <utility>
#include <vector>

namespace longhaul::text::jinja {

/// Reads tokens one after the other; the last one (`end`) never goes away.
class TokenStream {
  public:
    explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

    [[nodiscard]] Token const& peek(std::size_t ahead = 0) const {
        return tokens_[at_ + ahead < tokens_.size() ? at_ + ahead : tokens_.size() - 1];
    }
    Token const& next() {
        Token const& token = peek();
        at_ += at_ + 1 < tokens_.size() ? 1 : 0;
        return token;
    }
    /// Skips the token if it is this one.
    bool skip_symbol(std::string_view symbol) { return skip(TokenKind::symbol, symbol); }
    bool skip_name(std::string_view name) { return skip(TokenKind::name, name); }
    [[nodiscard]] bool at_symbol(std::string_view symbol) const {
        return at(TokenKind::symbol, symbol);
    }
    [[nodiscard]] bool at_name(std::string_view name) const { return at(TokenKind::name, name); }

  private:
    [[nodiscard]] bool at(TokenKind kind, std::string_view text) const {
        return peek().kind == kind && peek().text == text;
    }
    bool skip(TokenKind kind, std::string_view text) {
        bool const found = at(kind, text);
        if (found) {
            next();
        }
        return found;
    }

    std::vector<Token> tokens_;
    std::size_t at_ = 0;
};

/// Words that cannot name a variable.
[[nodiscard]] bool is_reserved(std::string_view name);

/// Expressions by recursive descent, one function per level of precedence, as Jinja orders them.
class ExprParser {
  public:
    explicit ExprParser(TokenStream& tokens) : tokens_(tokens) {}

    [[nodiscard]] ExprPtr read();
    /// Leaves an `if` that follows to the statement.
    [[nodiscard]] ExprPtr read_without_conditional();

  private:
    using NodePtr = std::unique_ptr<Expr>;
    using Level = NodePtr (ExprParser::*)();

    NodePtr read_conditional();
    NodePtr read_or();
    NodePtr read_and();
    NodePtr read_not();
    NodePtr read_compare();
    NodePtr read_sum();
    NodePtr read_concat();
    NodePtr read_product();
    NodePtr read_unary();
    NodePtr read_signed();
    NodePtr read_primary();
    NodePtr read_name();
    NodePtr read_number();
    NodePtr read_list();
    NodePtr read_postfix(NodePtr node);
    NodePtr read_filters(NodePtr node);
    NodePtr read_filter(NodePtr node);
    NodePtr read_test(NodePtr node);
    NodePtr read_raise();
    NodePtr read_binary(Level operand,
                        std::initializer_list<std::pair<std::string_view, BinaryOp>> operators);
    [[nodiscard]] bool at_test_argument() const;
    bool read_compare_op(CompareOp& op);
    void expect_symbol(std::string_view symbol);

    template <class... Args>
    static NodePtr make(ExprKind kind, int line, Args... args) {
        auto node = std::make_unique<Expr>();
        node->kind = kind;
        node->line = line;
        (add_arg(*node, std::move(args)), ...);
        return node;
    }
    static void add_arg(Expr& node, ExprPtr arg);

    TokenStream& tokens_;
    int nesting_ = 0;
};

}  // namespace longhaul::text::jinja
