#include "text/jinja_value.hpp"

#include "text/unicode_class.hpp"
#include "text/utf8.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace longhaul::text::jinja {
namespace {

// repr(float): the shortest digits that read back the same, always marked as no integer.
std::string python_float(double value) {
    std::string text = fmt::format("{}", value);
    if (text.find_first_not_of("-0123456789") == std::string::npos) {
        text += ".0";
    }
    return text;
}

bool equal_lists(List const& a, List const& b, std::int64_t& budget) {
    return std::equal(
        a.begin(), a.end(), b.begin(), b.end(),
        [&](Value const& left, Value const& right) { return equal(left, right, budget); });
}

bool equal_dicts(Dict const& a, Dict const& b, std::int64_t& budget) {
    return std::equal(
        a.begin(), a.end(), b.begin(), b.end(), [&](auto const& left, auto const& right) {
            return left.first == right.first && equal(left.second, right.second, budget);
        });
}

}  // namespace

Value::Value(List value) {
    for (Value const& item : value) {
        depth_ = std::max(depth_, item.depth());
    }
    ++depth_;
    data_ = std::make_shared<List const>(std::move(value));
}

Value::Value(Dict value) {
    for (auto const& [name, item] : value) {
        depth_ = std::max(depth_, item.depth());
    }
    ++depth_;
    data_ = std::make_shared<Dict const>(std::move(value));
}

bool Value::truthy() const {
    if (auto const number = as_real(*this)) {
        return *number != 0.0;
    }
    if (string() != nullptr) {
        return string()->size() != 0;
    }
    if (list() != nullptr) {
        return !list()->empty();
    }
    return dict() != nullptr && !dict()->empty();
}

std::string_view Value::type_name() const {
    constexpr std::array<std::string_view, 8> kNames{"undefined",  "none",        "a boolean",
                                                     "an integer", "a number",    "a string",
                                                     "a list",     "a dictionary"};
    return kNames[data_.index()];
}

bool equal(Value const& a, Value const& b, std::int64_t& budget) {
    if (--budget < 0) {
        return false;
    }
    if (auto const left = as_integer(a), right = as_integer(b); left && right) {
        return *left == *right;
    }
    if (auto const left = as_real(a), right = as_real(b); left && right) {
        return *left == *right;
    }
    if (a.string() != nullptr && b.string() != nullptr) {
        budget -= a.string()->size();
        return a.string()->bytes() == b.string()->bytes();
    }
    if (a.list() != nullptr && b.list() != nullptr) {
        return equal_lists(*a.list(), *b.list(), budget);
    }
    if (a.dict() != nullptr && b.dict() != nullptr) {
        return equal_dicts(*a.dict(), *b.dict(), budget);
    }
    return (a.is_none() && b.is_none()) || (a.undefined() != nullptr && b.undefined() != nullptr);
}

std::optional<std::int64_t> as_integer(Value const& value) {
    if (value.boolean() != nullptr) {
        return *value.boolean() ? 1 : 0;
    }
    return value.integer() != nullptr ? std::optional(*value.integer()) : std::nullopt;
}

std::optional<double> as_real(Value const& value) {
    if (value.real() != nullptr) {
        return *value.real();
    }
    auto const integer = as_integer(value);
    return integer ? std::optional(static_cast<double>(*integer)) : std::nullopt;
}

std::optional<TrackedString> to_string(Value const& value) {
    if (value.string() != nullptr) {
        return *value.string();
    }
    if (value.undefined() != nullptr) {
        return TrackedString();
    }
    if (value.is_none()) {
        return TrackedString("None");
    }
    if (value.boolean() != nullptr) {
        return TrackedString(*value.boolean() ? "True" : "False");
    }
    if (value.integer() != nullptr) {
        return TrackedString(fmt::format("{}", *value.integer()));
    }
    if (value.real() != nullptr) {
        return TrackedString(python_float(*value.real()));
    }
    return std::nullopt;
}

bool is_python_space(char32_t code_point) {
    return (code_point >= 0x1c && code_point <= 0x1f) ||
           ClassTable::instance()(code_point) == CharClass::space;
}

TrackedString strip(TrackedString const& string) {
    std::string const& bytes = string.bytes();
    std::int64_t begin = 0;
    std::int64_t end = 0;  // behind the last character that stays
    for (std::int64_t at = 0; at < string.size();) {
        CodePoint const point = code_point_at(bytes, at);
        at += point.size;
        if (!is_python_space(point.value)) {
            end = at;
        } else if (end == 0) {
            begin = at;
        }
    }
    return string.part({std::min(begin, end), end});
}

}  // namespace longhaul::text::jinja
