#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

/// Error policy (lib/README.md): programmer errors are contracts (LH_EXPECT, LH_ASSERT), bad input is a ValidationError
/// whose message names the problem, the reason and the remedy.
namespace longhaul {

/// Input, option or file that cannot be used. The message is shown to the user as it is.
class ValidationError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Set-up failed on some rank; thrown with the same message on every rank after they agreed on it (exit code 2).
class SetupFailed : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

namespace detail {
/// Prints expression and place, then aborts: a broken contract is a defect of the program, not of its input.
[[noreturn]] void contract_failed(char const* kind, char const* expression, char const* file,
                                  int line) noexcept;
}  // namespace detail

}  // namespace longhaul

/// Precondition of a function. Always on: the checks stand outside hot loops and a wrong answer costs more than they do.
#define LH_EXPECT(condition)    \
    ((condition)                \
         ? static_cast<void>(0) \
         : ::longhaul::detail::contract_failed("precondition", #condition, __FILE__, __LINE__))

/// Internal invariant.
#define LH_ASSERT(condition)    \
    ((condition)                \
         ? static_cast<void>(0) \
         : ::longhaul::detail::contract_failed("invariant", #condition, __FILE__, __LINE__))

/// Refuses bad input: LH_VALIDATE(size > 0, "the queue {} is empty; add at least one job", path).
#define LH_VALIDATE(condition, ...)                                        \
    do {                                                                   \
        if (!(condition)) {                                                \
            throw ::longhaul::ValidationError(::fmt::format(__VA_ARGS__)); \
        }                                                                  \
    } while (false)
