#pragma once

#include "text/jinja_value.hpp"

#include <memory>
#include <string_view>
#include <vector>

namespace longhaul::text::jinja {

struct Stmt;

/// A template in the part of Jinja2 that chat templates need (README.md lists it), run as transformers runs it. Anything else
/// is refused by name and line, at construction where possible. Immutable: threads may render at the same time.
class Template {
  public:
    /// Errors: ValidationError with the line (syntax, something not supported, not UTF-8, above 1 MiB).
    explicit Template(std::string_view source);
    ~Template();
    Template(Template&&) noexcept;
    Template& operator=(Template&&) noexcept;
    Template(Template const&) = delete;
    Template& operator=(Template const&) = delete;

    /// The output knows which bytes came from tracked strings in `variables`.
    /// Errors: ValidationError with the line for a type error, raise_exception, or more work than the input can justify
    /// (loops in loops); always ends, with memory in proportion to the input.
    [[nodiscard]] TrackedString render(Dict const& variables) const;

  private:
    std::unique_ptr<std::vector<Stmt> const> statements_;
};

}  // namespace longhaul::text::jinja
