#include "text/jinja_error.hpp"
#include "text/jinja_render.hpp"
#include "text/utf8.hpp"

#include <algorithm>
#include <array>

namespace longhaul::text::jinja {
namespace {

// Values are walked and destroyed by recursion.
constexpr int kMaxValueDepth = 50;

// Members that Python's dictionaries and loop objects have and ours lack: undefined would be a silent wrong answer.
bool is_python_member(std::string_view name) {
    constexpr std::array<std::string_view, 17> kNames{
        "items",    "keys",    "values",     "get",     "pop",      "update",
        "copy",     "clear",   "setdefault", "popitem", "fromkeys", "previtem",
        "nextitem", "changed", "cycle",      "depth",   "depth0"};
    return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

void require_defined(Value const& value, int line) {
    if (value.undefined() != nullptr) {
        fail(line, "'{}' is undefined", value.undefined()->name);
    }
}

// Python rounds quotients down and gives remainders the sign of the divisor. Requires divisor != 0 and no overflow.
std::int64_t floor_quotient(std::int64_t a, std::int64_t b) {
    return a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
}

std::optional<std::int64_t> integer_result(BinaryOp op, std::int64_t a, std::int64_t b) {
    std::int64_t result = 0;
    switch (op) {
        case BinaryOp::add:
            return __builtin_add_overflow(a, b, &result) ? std::nullopt : std::optional(result);
        case BinaryOp::subtract:
            return __builtin_sub_overflow(a, b, &result) ? std::nullopt : std::optional(result);
        case BinaryOp::multiply:
            return __builtin_mul_overflow(a, b, &result) ? std::nullopt : std::optional(result);
        default:
            break;
    }
    if (b == 0 || __builtin_sub_overflow(std::int64_t{0}, a, &result)) {
        return std::nullopt;
    }
    std::int64_t const quotient = floor_quotient(a, b);
    return op == BinaryOp::floor_divide ? quotient : a - quotient * b;
}

}  // namespace

Value Evaluator::evaluate(Expr const& expr) {
    budget_.spend(1, expr.line);
    switch (expr.kind) {
        case ExprKind::literal:
            return expr.literal;
        case ExprKind::name:
            return scopes_.get(expr.name);
        case ExprKind::attribute:
            return attribute(expr);
        case ExprKind::index:
            return index(expr);
        case ExprKind::list:
            return list(expr);
        case ExprKind::negate:
            return negate(expr);
        case ExprKind::logical_not:
            return Value(!evaluate(*expr.args[0]).truthy());
        case ExprKind::logical_and:
        case ExprKind::logical_or: {
            Value left = evaluate(*expr.args[0]);
            return left.truthy() == (expr.kind == ExprKind::logical_or) ? left
                                                                        : evaluate(*expr.args[1]);
        }
        case ExprKind::binary:
            return binary(expr);
        case ExprKind::compare:
            return compare(expr);
        case ExprKind::conditional:
            if (evaluate(*expr.args[1]).truthy()) {
                return evaluate(*expr.args[0]);
            }
            return expr.args.size() > 2 ? evaluate(*expr.args[2])
                                        : Value(Undefined{"the value of an 'if' without 'else'"});
        case ExprKind::filter:
            return filter(expr);
        case ExprKind::test:
            return Value(expr.test->holds(evaluate(*expr.args[0])) != expr.negated);
        case ExprKind::raise:
            raise(expr);
    }
    LH_ASSERT(false);
    return {};
}

Value Evaluator::attribute(Expr const& expr) {
    Value const object = evaluate(*expr.args[0]);
    require_defined(object, expr.line);
    if (object.dict() == nullptr) {
        fail_unsupported(expr.line, "the attribute '.{}' of {}", expr.name, object.type_name());
    }
    auto const found = object.dict()->find(expr.name);
    if (found != object.dict()->end()) {
        return found->second;
    }
    if (is_python_member(expr.name)) {
        fail_unsupported(expr.line, "the attribute '.{}'", expr.name);
    }
    return Value(Undefined{expr.name});
}

Value Evaluator::index(Expr const& expr) {
    Value const object = evaluate(*expr.args[0]);
    Value const key = evaluate(*expr.args[1]);
    require_defined(object, expr.line);
    if (object.dict() != nullptr && key.string() != nullptr) {
        auto const found = object.dict()->find(key.string()->bytes());
        return found == object.dict()->end() ? Value(Undefined{key.string()->bytes()})
                                             : found->second;
    }
    if (auto const position = as_integer(key); object.list() != nullptr && position) {
        auto const size = static_cast<std::int64_t>(object.list()->size());
        std::int64_t const at = *position < 0 ? *position + size : *position;
        return at < 0 || at >= size ? Value(Undefined{fmt::format("item {}", *position)})
                                    : (*object.list())[static_cast<std::size_t>(at)];
    }
    fail_unsupported(expr.line, "indexing {} with {}", object.type_name(), key.type_name());
}

Value Evaluator::list(Expr const& expr) {
    List items;
    for (ExprPtr const& item : expr.args) {
        items.push_back(evaluate(*item));
        if (items.back().depth() >= kMaxValueDepth) {
            fail(expr.line, "lists are nested more than {} deep", kMaxValueDepth);
        }
    }
    return Value(std::move(items));
}

Value Evaluator::negate(Expr const& expr) {
    Value const value = evaluate(*expr.args[0]);
    if (value.real() != nullptr) {
        return Value(-*value.real());
    }
    auto const integer = as_integer(value);
    auto const negated = integer ? integer_result(BinaryOp::subtract, 0, *integer) : std::nullopt;
    if (!negated) {
        fail(expr.line, "{} cannot be negated", value.type_name());
    }
    return Value(*negated);
}

Value Evaluator::binary(Expr const& expr) {
    Value left = evaluate(*expr.args[0]);
    Value const right = evaluate(*expr.args[1]);
    if (expr.op == BinaryOp::concat) {
        return concat(std::move(left), right, expr.line);
    }
    require_defined(left, expr.line);
    require_defined(right, expr.line);
    if (expr.op == BinaryOp::add && left.string() != nullptr && right.string() != nullptr) {
        return concat(std::move(left), right, expr.line);
    }
    return arithmetic(expr, left, right);
}

Value Evaluator::concat(Value left, Value const& right, int line) {
    auto const tail = to_string(right);
    if (!tail) {
        fail_unsupported(line, "joining {} to a string", right.type_name());
    }
    if (TrackedString* const own = left.owned_string()) {
        budget_.spend(tail->size(), line);
        own->append(*tail);
        return left;
    }
    auto whole = to_string(left);
    if (!whole) {
        fail_unsupported(line, "joining a string to {}", left.type_name());
    }
    budget_.spend(whole->size() + tail->size(), line);
    whole->append(*tail);
    return Value(*std::move(whole));
}

Value Evaluator::arithmetic(Expr const& expr, Value const& left, Value const& right) {
    auto const a = as_integer(left);
    auto const b = as_integer(right);
    if (!a || !b) {
        fail_unsupported(expr.line, "this operation between {} and {}", left.type_name(),
                         right.type_name());
    }
    auto const result = integer_result(expr.op, *a, *b);
    if (!result) {
        fail(expr.line, "the result of a calculation does not fit or divides by zero");
    }
    return Value(*result);
}

Value Evaluator::compare(Expr const& expr) {
    Value left = evaluate(*expr.args[0]);
    for (std::size_t i = 0; i < expr.ops.size(); ++i) {
        Value right = evaluate(*expr.args[i + 1]);
        if (!holds(expr.ops[i], left, right, expr.line)) {
            return Value(false);
        }
        left = std::move(right);
    }
    return Value(true);
}

bool Evaluator::holds(CompareOp op, Value const& left, Value const& right, int line) {
    switch (op) {
        case CompareOp::equal:
            return budget_.equal(left, right, line);
        case CompareOp::unequal:
            return !budget_.equal(left, right, line);
        case CompareOp::in:
            return contains(right, left, line);
        case CompareOp::not_in:
            return !contains(right, left, line);
        default:
            break;
    }
    auto const ordered = [op](auto const& a, auto const& b) {
        switch (op) {
            case CompareOp::less:
                return a < b;
            case CompareOp::less_equal:
                return a <= b;
            case CompareOp::greater:
                return b < a;
            default:
                return b <= a;
        }
    };
    if (left.string() != nullptr && right.string() != nullptr) {
        return ordered(left.string()->bytes(), right.string()->bytes());
    }
    if (auto const a = as_integer(left), b = as_integer(right); a && b) {
        return ordered(*a, *b);
    }
    auto const a = as_real(left);
    auto const b = as_real(right);
    if (!a || !b) {
        fail(line, "{} and {} have no order", left.type_name(), right.type_name());
    }
    return ordered(*a, *b);
}

bool Evaluator::contains(Value const& whole, Value const& part, int line) {
    require_defined(whole, line);
    if (whole.string() != nullptr && part.string() != nullptr) {
        budget_.spend(whole.string()->size() / 8, line);
        return whole.string()->bytes().find(part.string()->bytes()) != std::string::npos;
    }
    if (whole.list() != nullptr) {
        budget_.spend(static_cast<std::int64_t>(whole.list()->size()), line);
        return std::any_of(whole.list()->begin(), whole.list()->end(),
                           [&](Value const& item) { return budget_.equal(item, part, line); });
    }
    if (whole.dict() != nullptr && part.string() != nullptr) {
        return whole.dict()->contains(part.string()->bytes());
    }
    fail_unsupported(line, "'in' with {} and {}", part.type_name(), whole.type_name());
}

Value Evaluator::filter(Expr const& expr) {
    List args;
    for (ExprPtr const& arg : expr.args) {
        args.push_back(evaluate(*arg));
        if (args.back().string() != nullptr) {
            budget_.spend(args.back().string()->size(), expr.line);
        }
    }
    return expr.filter->apply(args, expr.line);
}

void Evaluator::raise(Expr const& expr) {
    auto const message = to_string(evaluate(*expr.args[0]));
    throw ValidationError(
        fmt::format("the chat template refuses these messages (line {}): {}", expr.line,
                    message ? to_valid_utf8(message->bytes()) : "no reason given"));
}

}  // namespace longhaul::text::jinja
