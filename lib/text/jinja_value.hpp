#pragma once

#include "text/tracked_string.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// Values of the template language, with the meaning that Python gives them.
namespace longhaul::text::jinja {

class Value;
using List = std::vector<Value>;
using Dict = std::map<std::string, Value, std::less<>>;

/// A name or member that does not exist; it may be printed (as nothing), tested and compared, not used.
struct Undefined {
    std::string name;
};
struct None {};

class Value {
  public:
    Value() = default;  // Undefined without a name
    explicit Value(Undefined undefined) : data_(std::move(undefined)) {}
    explicit Value(None none) : data_(none) {}
    explicit Value(bool value) : data_(value) {}
    explicit Value(std::int64_t value) : data_(value) {}
    explicit Value(double value) : data_(value) {}
    explicit Value(TrackedString value)
        : data_(std::make_shared<TrackedString>(std::move(value))) {}
    explicit Value(List value);
    explicit Value(Dict value);

    /// Null unless the value has this type.
    [[nodiscard]] Undefined const* undefined() const { return std::get_if<Undefined>(&data_); }
    [[nodiscard]] bool is_none() const { return std::holds_alternative<None>(data_); }
    [[nodiscard]] bool const* boolean() const { return std::get_if<bool>(&data_); }
    [[nodiscard]] std::int64_t const* integer() const { return std::get_if<std::int64_t>(&data_); }
    [[nodiscard]] double const* real() const { return std::get_if<double>(&data_); }
    [[nodiscard]] TrackedString const* string() const { return pointee<TrackedString>(); }
    [[nodiscard]] List const* list() const { return pointee<List const>(); }
    [[nodiscard]] Dict const* dict() const { return pointee<Dict const>(); }

    /// The string, for appending in place; null if it is no string or someone else holds it, too.
    [[nodiscard]] TrackedString* owned_string() {
        auto* const held = std::get_if<std::shared_ptr<TrackedString>>(&data_);
        return held != nullptr && held->use_count() == 1 ? held->get() : nullptr;
    }

    [[nodiscard]] bool truthy() const;
    /// Levels of lists and dictionaries inside each other: 0 for everything else.
    [[nodiscard]] int depth() const { return depth_; }
    /// "a string", "undefined", ... for messages.
    [[nodiscard]] std::string_view type_name() const;

  private:
    template <class T>
    T* pointee() const {
        auto const* const held = std::get_if<std::shared_ptr<T>>(&data_);
        return held == nullptr ? nullptr : held->get();
    }

    std::variant<Undefined, None, bool, std::int64_t, double, std::shared_ptr<TrackedString>,
                 std::shared_ptr<List const>, std::shared_ptr<Dict const>>
        data_;
    int depth_ = 0;
};

/// Python's ==: numbers and booleans compare by value, different types are unequal, undefined equals undefined. Takes what the
/// comparison costs off `budget` (one per value and per byte) and gives up with false when that falls below zero.
[[nodiscard]] bool equal(Value const& a, Value const& b, std::int64_t& budget);

/// A boolean or integer as integer; empty for anything else.
[[nodiscard]] std::optional<std::int64_t> as_integer(Value const& value);
/// A boolean, integer or real as double.
[[nodiscard]] std::optional<double> as_real(Value const& value);

/// What str() gives; empty for lists and dictionaries.
[[nodiscard]] std::optional<TrackedString> to_string(Value const& value);

/// Whether Python's str.strip() removes the character.
[[nodiscard]] bool is_python_space(char32_t code_point);
/// str.strip().
[[nodiscard]] TrackedString strip(TrackedString const& string);

}  // namespace longhaul::text::jinja
