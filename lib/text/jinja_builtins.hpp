#pragma once

#include "text/jinja_value.hpp"

#include <span>
#include <string_view>

namespace longhaul::text::jinja {

/// A filter that templates may use: one row of a table in jinja_builtins.cpp.
struct Filter {
    std::string_view name;
    std::size_t max_args;  ///< besides the filtered value; all are optional
    /// args[0] is the filtered value. Errors: ValidationError.
    Value (*apply)(std::span<Value const> args, int line);
};

/// A test without arguments: `value is name`.
struct Test {
    std::string_view name;
    bool (*holds)(Value const& value);
};

/// Null if there is none of this name.
[[nodiscard]] Filter const* find_filter(std::string_view name);
[[nodiscard]] Test const* find_test(std::string_view name);

}  // namespace longhaul::text::jinja
