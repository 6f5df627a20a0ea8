#include "text/jinja_expr_parser.hpp"

#include "text/jinja_error.hpp"

#include <algorithm>
#include <array>

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

void ExprParser::add_arg(Expr& node, ExprPtr arg) {
    node.depth = std::max(node.depth, arg->depth + 1);
    if (node.depth > kMaxDepth) {
        fail(node.line, "an expression has more than {} steps in a row", kMaxDepth);
    }
    node.args.push_back(std::move(arg));
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
        add_arg(*node, read_sum());
        node->ops.push_back(op);
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

}  // namespace longhaul::text::jinja
