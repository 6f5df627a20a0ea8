#pragma once

#include "io/gguf_cursor.hpp"
#include "io/gguf_types.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace longhaul::io {

/// The key-value part of a GGUF header. Reading it checks every length once and keeps only where the values lie; they are
/// decoded when asked for. Borrows the mapped file.
///
/// Errors      a getter returns nothing for an absent key and throws ValidationError for a value of another kind
class GgufMetadata {
  public:
    /// Reads `count` pairs from the cursor. Refused: a key twice, unknown types, arrays nested deeper than 4, anything
    /// that would end behind the header.
    GgufMetadata(GgufCursor& cursor, std::int64_t count);

    [[nodiscard]] bool has(std::string_view key) const { return entries_.contains(key); }
    [[nodiscard]] std::optional<std::int64_t> integer(std::string_view key) const;
    [[nodiscard]] std::optional<double> real(std::string_view key) const;
    [[nodiscard]] std::optional<bool> boolean(std::string_view key) const;
    [[nodiscard]] std::optional<std::string> text(std::string_view key) const;
    /// Elements of an array.
    [[nodiscard]] std::optional<std::int64_t> length(std::string_view key) const;
    [[nodiscard]] std::optional<std::vector<std::string>> texts(std::string_view key) const;
    [[nodiscard]] std::optional<std::vector<std::int32_t>> integers(std::string_view key) const;
    /// As integer, for keys that must be there.
    [[nodiscard]] std::int64_t required_integer(std::string_view key) const;

  private:
    struct Entry {
        GgufType type = GgufType::u8;
        GgufType element = GgufType::u8;  ///< of an array
        std::int64_t count = 1;           ///< elements of an array
        std::int64_t offset = 0;          ///< first byte of the value, of an array's first element
        std::string_view bytes;           ///< value or elements, as they lie in the file
    };

    [[nodiscard]] Entry const* find(std::string_view key) const;
    [[noreturn]] void wrong_kind(std::string_view key, Entry const& entry,
                                 char const* wanted) const;
    [[nodiscard]] std::int64_t integer_at(std::string_view key, Entry const& entry, GgufType type,
                                          char const* from) const;

    std::string file_;
    std::unordered_map<std::string_view, Entry> entries_;
};

}  // namespace longhaul::io
