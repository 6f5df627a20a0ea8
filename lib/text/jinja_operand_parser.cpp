// The operands of expressions: literals, names, members, filters, tests. The operators are in jinja_expr_parser.cpp.
#include "text/jinja_error.hpp"
#include "text/jinja_expr_parser.hpp"

#include <charconv>

namespace longhaul::text::jinja {

ExprParser::NodePtr ExprParser::read_primary() {
    Token const& token = tokens_.peek();
    int const line = token.line;
    switch (token.kind) {
        case TokenKind::name:
            return read_name();
        case TokenKind::integer:
        case TokenKind::real:
            return read_number();
        case TokenKind::string: {
            std::string text;
            while (tokens_.peek().kind == TokenKind::string) {  // neighbours join, as in Python
                text += tokens_.next().text;
            }
            NodePtr node = make(ExprKind::literal, line);
            node->literal = Value(TrackedString(std::move(text)));
            return node;
        }
        default:
            break;
    }
    if (tokens_.at_symbol("[")) {
        return read_list();
    }
    if (tokens_.skip_symbol("(")) {
        NodePtr node = read_conditional();
        if (tokens_.at_symbol(",")) {
            fail_unsupported(line, "a tuple");
        }
        expect_symbol(")");
        return node;
    }
    if (tokens_.at_symbol("{")) {
        fail_unsupported(line, "a dictionary in the template");
    }
    fail(line, "'{}' stands where a value should be", token.text);
}

ExprParser::NodePtr ExprParser::read_name() {
    Token const token = tokens_.next();
    std::string const& name = token.text;
    if (tokens_.at_symbol("(")) {
        if (name == "raise_exception") {
            return read_raise();
        }
        fail_unsupported(token.line, "the function '{}'", name);
    }
    NodePtr node = make(ExprKind::literal, token.line);
    if (name == "true" || name == "True" || name == "false" || name == "False") {
        node->literal = Value(name == "true" || name == "True");
    } else if (name == "none" || name == "None") {
        node->literal = Value(None{});
    } else if (is_reserved(name)) {
        fail(token.line, "'{}' stands where a value should be", name);
    } else {
        node->kind = ExprKind::name;
        node->name = name;
    }
    return node;
}

ExprParser::NodePtr ExprParser::read_number() {
    Token const token = tokens_.next();
    NodePtr node = make(ExprKind::literal, token.line);
    char const* const begin = token.text.data();
    char const* const end = begin + token.text.size();
    auto const read = [&](auto value) {
        auto const result = std::from_chars(begin, end, value);
        if (result.ec != std::errc{} || result.ptr != end) {
            fail_unsupported(token.line, "the number '{}'", token.text);
        }
        node->literal = Value(value);
    };
    if (token.kind == TokenKind::integer) {
        read(std::int64_t{0});
    } else {
        read(double{0});
    }
    return node;
}

ExprParser::NodePtr ExprParser::read_list() {
    NodePtr node = make(ExprKind::list, tokens_.next().line);
    while (!tokens_.skip_symbol("]")) {
        if (!node->args.empty()) {
            expect_symbol(",");
            if (tokens_.skip_symbol("]")) {
                break;
            }
        }
        add_arg(*node, read_conditional());
    }
    return node;
}

ExprParser::NodePtr ExprParser::read_postfix(NodePtr node) {
    while (true) {
        int const line = tokens_.peek().line;
        if (tokens_.skip_symbol(".")) {
            Token const name = tokens_.next();
            if (name.kind != TokenKind::name) {
                fail(line, "'.{}' is no attribute", name.text);
            }
            if (tokens_.at_symbol("(")) {
                fail_unsupported(line, "the method '.{}()'", name.text);
            }
            node = make(ExprKind::attribute, line, std::move(node));
            node->name = name.text;
        } else if (tokens_.skip_symbol("[")) {
            if (tokens_.at_symbol(":")) {
                fail_unsupported(line, "a slice");
            }
            NodePtr index = read_conditional();
            if (tokens_.at_symbol(":")) {
                fail_unsupported(line, "a slice");
            }
            expect_symbol("]");
            node = make(ExprKind::index, line, std::move(node), std::move(index));
        } else if (tokens_.at_symbol("(")) {
            fail_unsupported(line, "calling a value");
        } else {
            return node;
        }
    }
}

ExprParser::NodePtr ExprParser::read_filters(NodePtr node) {
    while (true) {
        if (tokens_.at_symbol("|")) {
            node = read_filter(std::move(node));
        } else if (tokens_.at_name("is")) {
            node = read_test(std::move(node));
        } else {
            return node;
        }
    }
}

ExprParser::NodePtr ExprParser::read_filter(NodePtr node) {
    tokens_.next();
    Token const name = tokens_.next();
    Filter const* const filter = find_filter(name.text);
    if (filter == nullptr) {
        fail_unsupported(name.line, "the filter '{}'", name.text);
    }
    node = make(ExprKind::filter, name.line, std::move(node));
    node->filter = filter;
    if (!tokens_.skip_symbol("(")) {
        return node;
    }
    while (!tokens_.skip_symbol(")")) {
        if (node->args.size() > 1) {
            expect_symbol(",");
        }
        add_arg(*node, read_conditional());
    }
    if (node->args.size() > 1 + filter->max_args) {
        fail_unsupported(name.line, "the filter '{}' with {} arguments", name.text,
                         node->args.size() - 1);
    }
    return node;
}

// Jinja takes whatever looks like a value behind a test as its argument, even an `if`.
bool ExprParser::at_test_argument() const {
    Token const& token = tokens_.peek();
    switch (token.kind) {
        case TokenKind::name:
            return token.text != "else" && token.text != "or" && token.text != "and";
        case TokenKind::symbol:
            return token.text == "(" || token.text == "[" || token.text == "{";
        default:
            return token.kind == TokenKind::string || token.kind == TokenKind::integer ||
                   token.kind == TokenKind::real;
    }
}

ExprParser::NodePtr ExprParser::read_test(NodePtr node) {
    int const line = tokens_.next().line;
    bool const negated = tokens_.skip_name("not");
    Token const name = tokens_.next();
    Test const* const test = find_test(name.text == "None" ? "none" : name.text);
    if (test == nullptr) {
        fail_unsupported(line, "the test '{}'", name.text);
    }
    if (at_test_argument()) {
        fail_unsupported(line, "the test '{}' with an argument", name.text);
    }
    node = make(ExprKind::test, line, std::move(node));
    node->test = test;
    node->negated = negated;
    return node;
}

ExprParser::NodePtr ExprParser::read_raise() {
    int const line = tokens_.next().line;
    NodePtr message = read_conditional();
    expect_symbol(")");
    return make(ExprKind::raise, line, std::move(message));
}

void ExprParser::expect_symbol(std::string_view symbol) {
    if (!tokens_.skip_symbol(symbol)) {
        fail(tokens_.peek().line, "'{}' stands where '{}' should be", tokens_.peek().text, symbol);
    }
}

}  // namespace longhaul::text::jinja
