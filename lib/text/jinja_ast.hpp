#pragma once

#include "text/jinja_builtins.hpp"
#include "text/jinja_value.hpp"

#include <memory>
#include <string>
#include <vector>

/// What the parser makes of a template and the renderer walks. Immutable once parsed; the depth of every tree is bounded, so
/// walking and destroying it by recursion is safe.
namespace longhaul::text::jinja {

enum class ExprKind {
    literal,      ///< literal
    name,         ///< name
    attribute,    ///< args[0].name
    index,        ///< args[0][args[1]]
    list,         ///< [args...]
    negate,       ///< -args[0]
    logical_not,  ///< not args[0]
    logical_and,
    logical_or,
    binary,       ///< args[0] op args[1], op one of + - * // % ~
    compare,      ///< args[0] ops[0] args[1] ops[1] args[2] ... as Python chains them
    conditional,  ///< args[0] if args[1] else args[2]; without args[2] undefined
    filter,       ///< args[0] | filter(args[1]...)
    test,         ///< args[0] is test, negated by `negated`
    raise,        ///< raise_exception(args[0])
};

enum class CompareOp { equal, unequal, less, less_equal, greater, greater_equal, in, not_in };
enum class BinaryOp { add, subtract, multiply, floor_divide, modulo, concat };

struct Expr;
using ExprPtr = std::unique_ptr<Expr const>;

struct Expr {
    ExprKind kind = ExprKind::literal;
    int line = 0;
    int depth = 1;  ///< of the tree below and including this node
    std::string name;
    Value literal;
    std::vector<ExprPtr> args;
    std::vector<CompareOp> ops;
    BinaryOp op = BinaryOp::add;
    Filter const* filter = nullptr;
    Test const* test = nullptr;
    bool negated = false;
};

struct Stmt;
using Block = std::vector<Stmt>;

enum class StmtKind {
    data,    ///< data
    print,   ///< {{ expr }}
    set,     ///< {% set name = expr %}
    loop,    ///< {% for name in expr if condition %} branches[0].body {% else %} otherwise
    branch,  ///< {% if %} ... {% elif %} ... {% else %} otherwise
};

struct Branch {
    ExprPtr condition;  ///< null: always
    Block body;
};

struct Stmt {
    StmtKind kind = StmtKind::data;
    int line = 0;
    Value data{};
    std::string name{};
    ExprPtr expr{};
    std::vector<Branch> branches{};
    Block otherwise{};
};

/// Errors: ValidationError with line and name of anything that is wrong or not supported.
[[nodiscard]] Block parse(std::string_view source);

}  // namespace longhaul::text::jinja
