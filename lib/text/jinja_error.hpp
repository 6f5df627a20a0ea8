#pragma once

#include "base/error.hpp"

#include <string>
#include <utility>

namespace longhaul::text::jinja {

/// Throws the ValidationError of a template that cannot be used, with the line.
template <class... Args>
[[noreturn]] void fail(int line, fmt::format_string<Args...> format, Args&&... args) {
    throw ValidationError(fmt::format("the chat template cannot be used: line {}: {}", line,
                                      fmt::format(format, std::forward<Args>(args)...)));
}

/// The same for something that Jinja knows and this interpreter does not.
template <class... Args>
[[noreturn]] void fail_unsupported(int line, fmt::format_string<Args...> format, Args&&... args) {
    throw ValidationError(
        fmt::format("the chat template cannot be used: line {}: {} is not supported; "
                    "use a template that does without it",
                    line, fmt::format(format, std::forward<Args>(args)...)));
}

}  // namespace longhaul::text::jinja
