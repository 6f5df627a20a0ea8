#include "text/jinja_expr_parser.hpp"

#include "text/jinja_error.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace longhaul::text::jinja {
namespace {

// Deep enough for any honest template, shallow enough for the stack of a thread.
constexpr int kMaxNesting = 60;
constexpr int kMaxDepth = 300;

class Nested {
  public:
    Nested(int& nesting, int line) : nesting_(nesting) {
        if (nesting_ >= kMaxNesting) {
            fail(line, "an expression is nested more than {} deep", kMaxNesting);
        }
        ++nesting_;
    }
    ~Nested() { --nesting_; }
    Nested(Nested const&) = delete;
    Nested& operator=(Nested const&) = delete;

  private:
    int& nesting_;
};

}  // namespace

bool is_reserved(std::string_view name) {
    constexpr std::array<std::string_view, 14> kWords{"and",  "or",    "not",  "in",    "is",
                                                      "if",   "else",  "true", "false", "none",
                                                      "True", "False", "None", "elif"};
    return std::find(kWords.begin(), kWords.end(), name) != kWords.end();
}

template <class... Args>
ExprParser::NodePtr ExprParser::make(ExprKind kind, int line, Args... args) {
    auto node = std::make_unique<Expr>();
    node->kind = kind;
    node->line = line;
    (node->args.push_back(std::move(args)), ...);
    for (ExprPtr const& arg : node->args) {
        node->depth = std::max(node->depth, arg->depth + 1);
    }
    if (node->depth > kMaxDepth) {
        fail(line, "an expression has more than {} steps in a row", kMaxDepth);
    }
    return node;
}

ExprPtr ExprParser::read() { return read_conditional(); }

ExprPtr ExprParser::read_without_conditional() { return read_or(); }

ExprParser::NodePtr ExprParser::read_conditional() {
    Nested const nested(nesting_, tokens_.peek().line);
    NodePtr node = read_or();
    while (tokens_.at_name("if")) {
        int const line = tokens_.next().line;
        NodePtr condition = read_or();
        if (tokens_.skip_name("else")) {
            NodePtr otherwise = read_conditional();
            node = make(ExprKind::conditional, line, std::move(node), std::move(condition),
                        std::move(otherwise));
        } else {
            node = make(ExprKind::conditional, line, std::move(node), std::move(condition));
        }
    }
    return node;
}

ExprParser::NodePtr ExprParser::read_or() {
    NodePtr node = read_and();
    while (tokens_.at_name("or")) {
        int const line = tokens_.next().line;
        NodePtr right = read_and();
        node = make(ExprKind::logical_or, line, std::move(node), std::move(right));
    }
    return node;
}

ExprParser::NodePtr ExprParser::read_and() {
    NodePtr node = read_not();
    while (tokens_.at_name("and")) {
        int const line = tokens_.next().line;
        NodePtr right = read_not();
        node = make(ExprKind::logical_and, line, std::move(node), std::move(right));
    }
    return node;
}

ExprParser::NodePtr ExprParser::read_not() {
    if (!tokens_.at_name("not")) {
        return read_compare();
    }
    int const line = tokens_.next().line;
    Nested const nested(nesting_, line);
    return make(ExprKind::logical_not, line, read_not());
}

bool ExprParser::read_compare_op(CompareOp& op) {
    constexpr std::array<std::pair<std::string_view, CompareOp>, 6> kSymbols{{
        {"==", CompareOp::equal},
        {"!=", CompareOp::unequal},
        {"<", CompareOp::less},
        {"<=", CompareOp::less_equal},
        {">", CompareOp::greater},
        {">=", CompareOp::greater_equal},
    }};
    for (auto const& [symbol, meaning] : kSymbols) {
        if (tokens_.skip_symbol(symbol)) {
            op = meaning;
            return true;
        }
    }
    if (tokens_.skip_name("in")) {
        op = CompareOp::in;
        return true;
    }
    if (tokens_.at_name("not") && tokens_.peek(1).kind == TokenKind::name &&
        tokens_.peek(1).text == "in") {
        tokens_.next();
        tokens_.next();
        op = CompareOp::not_in;
        return true;
    }
    return false;
}

ExprParser::NodePtr ExprParser::read_compare() {
    int const line = tokens_.peek().line;
    NodePtr first = read_sum();
    CompareOp op{};
    if (!read_compare_op(op)) {
        return first;
    }
    NodePtr node = make(ExprKind::compare, line, std::move(first));
    do {
        NodePtr operand = read_sum();
        node->depth = std::max(node->depth, operand->depth + 1);
        node->ops.push_back(op);
        node->args.push_back(std::move(operand));
    } while (read_compare_op(op));
    return node;
}

ExprParser::NodePtr ExprParser::read_binary(
    Level operand, std::initializer_list<std::pair<std::string_view, BinaryOp>> operators) {
    NodePtr node = (this->*operand)();
    while (true) {
        auto const* const found =
            std::find_if(operators.begin(), operators.end(),
                         [&](auto const& candidate) { return tokens_.at_symbol(candidate.first); });
        if (tokens_.at_symbol("/") || tokens_.at_symbol("**")) {
            fail_unsupported(tokens_.peek().line, "the operator '{}'", tokens_.peek().text);
        }
        if (found == operators.end()) {
            return node;
        }
        int const line = tokens_.next().line;
        NodePtr right = (this->*operand)();
        node = make(ExprKind::binary, line, std::move(node), std::move(right));
        node->op = found->second;
    }
}

ExprParser::NodePtr ExprParser::read_sum() {
    return read_binary(&ExprParser::read_concat, {{"+", BinaryOp::add}, {"-", BinaryOp::subtract}});
}

ExprParser::NodePtr ExprParser::read_concat() {
    return read_binary(&ExprParser::read_product, {{"~", BinaryOp::concat}});
}

ExprParser::NodePtr ExprParser::read_product() {
    return read_binary(
        &ExprParser::read_unary,
        {{"*", BinaryOp::multiply}, {"//", BinaryOp::floor_divide}, {"%", BinaryOp::modulo}});
}

// A filter binds weaker than a sign: -1|abs is (-1)|abs.
ExprParser::NodePtr ExprParser::read_unary() { return read_filters(read_signed()); }

ExprParser::NodePtr ExprParser::read_signed() {
    if (tokens_.at_symbol("+")) {
        fail_unsupported(tokens_.peek().line, "'+' in front of a value");
    }
    if (tokens_.at_symbol("-")) {
        int const line = tokens_.next().line;
        Nested const nested(nesting_, line);
        return make(ExprKind::negate, line, read_signed());
    }
    return read_postfix(read_primary());
}

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
        NodePtr item = read_conditional();
        node->depth = std::max(node->depth, item->depth + 1);
        node->args.push_back(std::move(item));
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
        NodePtr arg = read_conditional();
        node->depth = std::max(node->depth, arg->depth + 1);
        node->args.push_back(std::move(arg));
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
