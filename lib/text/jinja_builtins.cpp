#include "text/jinja_builtins.hpp"

#include "text/jinja_error.hpp"
#include "text/utf8.hpp"

#include <algorithm>
#include <array>

namespace longhaul::text::jinja {
namespace {

TrackedString require_printable(Value const& value, std::string_view filter, int line) {
    auto string = to_string(value);
    if (!string) {
        fail_unsupported(line, "the filter '{}' on {}", filter, value.type_name());
    }
    return *std::move(string);
}

Value trim(std::span<Value const> args, int line) {
    return Value(strip(require_printable(args[0], "trim", line)));
}

Value as_string(std::span<Value const> args, int line) {
    return Value(require_printable(args[0], "string", line));
}

std::int64_t count_code_points(std::string_view text) {
    return std::count_if(text.begin(), text.end(), [](char byte) {
        return (static_cast<unsigned char>(byte) & 0xc0U) != 0x80;
    });
}

Value length(std::span<Value const> args, int line) {
    Value const& value = args[0];
    if (value.string() != nullptr) {
        return Value(count_code_points(value.string()->bytes()));
    }
    if (value.list() != nullptr) {
        return Value(static_cast<std::int64_t>(value.list()->size()));
    }
    if (value.dict() != nullptr) {
        return Value(static_cast<std::int64_t>(value.dict()->size()));
    }
    if (value.undefined() != nullptr) {
        return Value(std::int64_t{0});
    }
    fail(line, "{} has no length", value.type_name());
}

List const& require_list(Value const& value, std::string_view filter, int line) {
    if (value.list() == nullptr) {
        fail_unsupported(line, "the filter '{}' on {}", filter, value.type_name());
    }
    return *value.list();
}

Value first(std::span<Value const> args, int line) {
    List const& list = require_list(args[0], "first", line);
    return list.empty() ? Value(Undefined{"the first item of an empty list"}) : list.front();
}

Value last(std::span<Value const> args, int line) {
    List const& list = require_list(args[0], "last", line);
    return list.empty() ? Value(Undefined{"the last item of an empty list"}) : list.back();
}

// default(value, when_false): the second argument also replaces everything that counts as false.
Value fallback(std::span<Value const> args, int) {
    bool const when_false = args.size() > 2 && args[2].truthy();
    if (args[0].undefined() == nullptr && !(when_false && !args[0].truthy())) {
        return args[0];
    }
    return args.size() > 1 ? args[1] : Value(TrackedString());
}

constexpr std::array kFilters{
    Filter{"count", 0, length},     Filter{"d", 2, fallback}, Filter{"default", 2, fallback},
    Filter{"first", 0, first},      Filter{"last", 0, last},  Filter{"length", 0, length},
    Filter{"string", 0, as_string}, Filter{"trim", 0, trim},
};

constexpr std::array kTests{
    Test{"defined", [](Value const& value) { return value.undefined() == nullptr; }},
    Test{"undefined", [](Value const& value) { return value.undefined() != nullptr; }},
    Test{"none", [](Value const& value) { return value.is_none(); }},
    Test{"string", [](Value const& value) { return value.string() != nullptr; }},
    Test{"mapping", [](Value const& value) { return value.dict() != nullptr; }},
    Test{"boolean", [](Value const& value) { return value.boolean() != nullptr; }},
    Test{"integer", [](Value const& value) { return value.integer() != nullptr; }},
    Test{"number", [](Value const& value) { return as_real(value).has_value(); }},
};

}  // namespace

Filter const* find_filter(std::string_view name) {
    auto const* const found = std::find_if(kFilters.begin(), kFilters.end(),
                                           [&](Filter const& f) { return f.name == name; });
    return found == kFilters.end() ? nullptr : found;
}

Test const* find_test(std::string_view name) {
    auto const* const found =
        std::find_if(kTests.begin(), kTests.end(), [&](Test const& t) { return t.name == name; });
    return found == kTests.end() ? nullptr : found;
}

}  // namespace longhaul::text::jinja
