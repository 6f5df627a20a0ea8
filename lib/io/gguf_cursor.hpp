#pragma once

#include "io/gguf_types.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace longhaul::io {

/// Reads the header of a GGUF file front to back. Every read is checked against the bytes that are there; a read that
/// does not fit throws ValidationError with file, what was read, and where.
class GgufCursor {
  public:
    GgufCursor(std::string file, std::span<std::byte const> bytes)
        : file_(std::move(file)), bytes_(bytes) {}

    [[nodiscard]] std::int64_t offset() const { return offset_; }
    [[nodiscard]] std::int64_t left() const {
        return static_cast<std::int64_t>(bytes_.size()) - offset_;
    }
    /// The next byte to be read.
    [[nodiscard]] char const* here() const {
        return reinterpret_cast<char const*>(bytes_.data()) + offset_;
    }
    [[nodiscard]] std::string const& file() const { return file_; }

    template <class T>
    [[nodiscard]] T number(std::string_view what) {
        static_assert(std::is_arithmetic_v<T>);
        T value;
        std::memcpy(&value, take(static_cast<std::int64_t>(sizeof(T)), what), sizeof(T));
        return value;
    }

    /// A count of things that take at least `bytes_each` bytes of the header: more than fit are refused here, so that a
    /// count can be trusted with memory.
    [[nodiscard]] std::int64_t count(std::int64_t bytes_each, std::string_view what);
    /// Length-prefixed bytes; the view lives as long as the mapped file.
    [[nodiscard]] std::string_view text(std::int64_t longest, std::string_view what);
    [[nodiscard]] GgufType value_type(std::string_view what);
    void skip(std::int64_t bytes, std::string_view what) { static_cast<void>(take(bytes, what)); }

    /// "FILE: PROBLEM at byte N; the file is damaged ..."
    [[noreturn]] void fail(std::int64_t at, std::string const& problem) const;

  private:
    std::byte const* take(std::int64_t bytes, std::string_view what);

    std::string file_;
    std::span<std::byte const> bytes_;
    std::int64_t offset_ = 0;
};

}  // namespace longhaul::io
