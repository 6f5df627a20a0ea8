#include "io/gguf_metadata.hpp"

#include "base/error.hpp"

#include <cmath>
#include <cstring>
#include <utility>

namespace longhaul::io {
namespace {

constexpr std::int64_t kLongestKey = 65'535;  // the format's own limit
constexpr int kDeepestArray = 4;              // arrays of arrays are legal, deeper ones never seen

template <class T>
T load(char const* from) {
    T value;
    std::memcpy(&value, from, sizeof(value));
    return value;
}

// Steps over one value; an array calls itself for each element only when the elements carry their own length.
void skip_value(GgufCursor& cursor, GgufType type, std::string const& what, int depth);

void skip_elements(GgufCursor& cursor, GgufType element, std::int64_t count,
                   std::string const& what, int depth) {
    if (std::int64_t const each = gguf_value_bytes(element); each > 0) {
        cursor.skip(count * each, what);  // count() has bounded the product by the size of the file
        return;
    }
    for (std::int64_t i = 0; i < count; ++i) {
        skip_value(cursor, element, what, depth);
    }
}

struct ArrayHead {
    GgufType element;
    std::int64_t count;
};

ArrayHead array_head(GgufCursor& cursor, std::string const& what) {
    GgufType const element = cursor.value_type("the element type of " + what);
    std::int64_t const each = gguf_value_bytes(element);
    // An empty string takes 8 bytes, an empty array 12.
    std::int64_t const least = each > 0 ? each : (element == GgufType::string ? 8 : 12);
    return {element, cursor.count(least, "the length of " + what)};
}

void skip_value(GgufCursor& cursor, GgufType type, std::string const& what, int depth) {
    if (type == GgufType::string) {
        static_cast<void>(cursor.text(cursor.left(), what));
    } else if (type == GgufType::array) {
        if (depth >= kDeepestArray) {
            cursor.fail(cursor.offset(),
                        fmt::format("{} nests arrays more than {} deep", what, kDeepestArray));
        }
        ArrayHead const head = array_head(cursor, what);
        skip_elements(cursor, head.element, head.count, what, depth + 1);
    } else {
        cursor.skip(gguf_value_bytes(type), what);
    }
}

}  // namespace

GgufMetadata::GgufMetadata(GgufCursor& cursor, std::int64_t count) : file_(cursor.file()) {
    for (std::int64_t i = 0; i < count; ++i) {
        std::int64_t const at = cursor.offset();
        std::string_view const key =
            cursor.text(kLongestKey, fmt::format("key {} of the metadata", i));
        std::string const what = "the value of " + shown(key);
        Entry entry;
        entry.type = cursor.value_type("the type of " + shown(key));
        if (entry.type == GgufType::array) {
            ArrayHead const head = array_head(cursor, what);
            entry.element = head.element;
            entry.count = head.count;
        }
        entry.offset = cursor.offset();
        std::int64_t const before = cursor.left();
        char const* const start = cursor.here();
        if (entry.type == GgufType::array) {
            skip_elements(cursor, entry.element, entry.count, what, 1);
        } else {
            skip_value(cursor, entry.type, what, 0);
        }
        entry.bytes = {start, static_cast<std::size_t>(before - cursor.left())};
        if (!entries_.emplace(key, entry).second) {
            cursor.fail(at, fmt::format("the metadata key {} comes twice", shown(key)));
        }
    }
}

GgufMetadata::Entry const* GgufMetadata::find(std::string_view key) const {
    auto const found = entries_.find(key);
    return found == entries_.end() ? nullptr : &found->second;
}

void GgufMetadata::wrong_kind(std::string_view key, Entry const& entry, char const* wanted) const {
    std::string const kind = entry.type == GgufType::array
                                 ? fmt::format("an array of {}", gguf_type_name(entry.element))
                                 : std::string("of type ") + gguf_type_name(entry.type);
    throw ValidationError(fmt::format(
        "{}: the metadata value {} at byte {} is {}, but must be {}; convert the model again",
        file_, shown(key), entry.offset, kind, wanted));
}

std::int64_t GgufMetadata::integer_at(std::string_view key, Entry const& entry, GgufType type,
                                      char const* from) const {
    switch (type) {
        case GgufType::u8:
            return load<std::uint8_t>(from);
        case GgufType::i8:
            return load<std::int8_t>(from);
        case GgufType::u16:
            return load<std::uint16_t>(from);
        case GgufType::i16:
            return load<std::int16_t>(from);
        case GgufType::u32:
            return load<std::uint32_t>(from);
        case GgufType::i32:
            return load<std::int32_t>(from);
        case GgufType::i64:
            return load<std::int64_t>(from);
        case GgufType::u64: {
            auto const value = load<std::uint64_t>(from);
            LH_VALIDATE(
                std::in_range<std::int64_t>(value),
                "{}: the metadata value {} at byte {} is {}, too large; convert the model again",
                file_, shown(key), entry.offset, value);
            return static_cast<std::int64_t>(value);
        }
        default:
            wrong_kind(key, entry, "a whole number");
    }
}

std::optional<std::int64_t> GgufMetadata::integer(std::string_view key) const {
    Entry const* const entry = find(key);
    if (entry == nullptr) {
        return std::nullopt;
    }
    return integer_at(key, *entry, entry->type, entry->bytes.data());
}

std::int64_t GgufMetadata::required_integer(std::string_view key) const {
    std::optional<std::int64_t> const value = integer(key);
    LH_VALIDATE(value, "{}: the metadata lacks {}; convert the model again", file_, key);
    return *value;
}

std::optional<double> GgufMetadata::real(std::string_view key) const {
    Entry const* const entry = find(key);
    if (entry == nullptr) {
        return std::nullopt;
    }
    double value = 0;
    if (entry->type == GgufType::f32) {
        value = static_cast<double>(load<float>(entry->bytes.data()));
    } else if (entry->type == GgufType::f64) {
        value = load<double>(entry->bytes.data());
    } else {
        wrong_kind(key, *entry, "a floating-point number");
    }
    LH_VALIDATE(std::isfinite(value),
                "{}: the metadata value {} at byte {} is not finite; convert the model again",
                file_, shown(key), entry->offset);
    return value;
}

std::optional<bool> GgufMetadata::boolean(std::string_view key) const {
    Entry const* const entry = find(key);
    if (entry == nullptr) {
        return std::nullopt;
    }
    if (entry->type != GgufType::boolean || static_cast<unsigned char>(entry->bytes.front()) > 1) {
        wrong_kind(key, *entry, "a bool (0 or 1)");
    }
    return entry->bytes.front() == 1;
}

std::optional<std::string> GgufMetadata::text(std::string_view key) const {
    Entry const* const entry = find(key);
    if (entry == nullptr) {
        return std::nullopt;
    }
    if (entry->type != GgufType::string) {
        wrong_kind(key, *entry, "a string");
    }
    return std::string(entry->bytes.substr(8));  // behind the length
}

std::optional<std::int64_t> GgufMetadata::length(std::string_view key) const {
    Entry const* const entry = find(key);
    if (entry == nullptr) {
        return std::nullopt;
    }
    if (entry->type != GgufType::array) {
        wrong_kind(key, *entry, "an array");
    }
    return entry->count;
}

std::optional<std::vector<std::string>> GgufMetadata::texts(std::string_view key) const {
    Entry const* const entry = find(key);
    if (entry == nullptr) {
        return std::nullopt;
    }
    if (entry->type != GgufType::array || entry->element != GgufType::string) {
        wrong_kind(key, *entry, "an array of strings");
    }
    std::vector<std::string> result;
    result.reserve(static_cast<std::size_t>(entry->count));
    std::string_view rest = entry->bytes;
    for (std::int64_t i = 0; i < entry->count; ++i) {
        auto const length =
            static_cast<std::size_t>(load<std::uint64_t>(rest.data()));  // checked when opened
        result.emplace_back(rest.substr(8, length));
        rest.remove_prefix(8 + length);
    }
    return result;
}

std::optional<std::vector<std::int32_t>> GgufMetadata::integers(std::string_view key) const {
    Entry const* const entry = find(key);
    if (entry == nullptr) {
        return std::nullopt;
    }
    if (entry->type != GgufType::array) {
        wrong_kind(key, *entry, "an array of whole numbers");
    }
    std::vector<std::int32_t> result;
    std::int64_t const each = gguf_value_bytes(entry->element);
    for (std::int64_t i = 0; i < entry->count; ++i) {
        std::int64_t const value =
            integer_at(key, *entry, entry->element, entry->bytes.data() + i * each);
        if (!std::in_range<std::int32_t>(value)) {
            wrong_kind(key, *entry, "an array of 32-bit whole numbers");
        }
        result.push_back(static_cast<std::int32_t>(value));
    }
    return result;
}

}  // namespace longhaul::io
