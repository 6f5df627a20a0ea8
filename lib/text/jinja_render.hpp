#pragma once

#include "text/jinja_ast.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace longhaul::text::jinja {

/// What a rendering may still spend: one unit per node walked and per byte copied, so that a hostile template ends.
class Budget {
  public:
    /// In proportion to the bytes of the variables, with a floor that no honest template reaches.
    explicit Budget(Dict const& variables);
    void spend(std::int64_t units, int line);
    [[nodiscard]] bool equal(Value const& a, Value const& b, int line);

  private:
    std::int64_t left_;
};

/// Variables by scope: a `for` opens one, what it sets does not leave it.
class Scopes {
  public:
    explicit Scopes(Dict const& variables) : outer_(variables), inner_(1) {}

    void open() { inner_.emplace_back(); }
    void close() { inner_.pop_back(); }
    void set(std::string const& name, Value value) {
        inner_.back().insert_or_assign(name, std::move(value));
    }
    [[nodiscard]] Value get(std::string const& name) const;

  private:
    Dict const& outer_;
    std::vector<Dict> inner_;
};

/// Expressions to values.
class Evaluator {
  public:
    Evaluator(Scopes const& scopes, Budget& budget) : scopes_(scopes), budget_(budget) {}
    [[nodiscard]] Value evaluate(Expr const& expr);

  private:
    Value attribute(Expr const& expr);
    Value index(Expr const& expr);
    Value list(Expr const& expr);
    Value negate(Expr const& expr);
    Value binary(Expr const& expr);
    Value compare(Expr const& expr);
    Value filter(Expr const& expr);
    Value concat(Value left, Value const& right, int line);
    Value arithmetic(Expr const& expr, Value const& left, Value const& right);
    bool holds(CompareOp op, Value const& left, Value const& right, int line);
    bool contains(Value const& whole, Value const& part, int line);
    [[noreturn]] void raise(Expr const& expr);

    Scopes const& scopes_;
    Budget& budget_;
};

/// Statements to output. Used once.
class Renderer {
  public:
    explicit Renderer(Dict const& variables)
        : budget_(variables), scopes_(variables), evaluator_(scopes_, budget_) {}
    [[nodiscard]] TrackedString run(Block const& block);

  private:
    void render(Block const& block);
    void render(Stmt const& stmt);
    void print(Value const& value, int line);
    void loop(Stmt const& stmt);
    void branch(Stmt const& stmt);
    List items_of(Stmt const& stmt);

    Budget budget_;
    Scopes scopes_;
    Evaluator evaluator_;
    TrackedString out_;
};

}  // namespace longhaul::text::jinja
