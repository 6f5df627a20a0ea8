#include "io/gguf_cursor.hpp"

#include "base/error.hpp"

namespace longhaul::io {

void GgufCursor::fail(std::int64_t at, std::string const& problem) const {
    throw ValidationError(
        fmt::format("{}: {} at byte {}; the file is damaged, incomplete or no GGUF file: get it "
                    "again and compare its size and checksum",
                    file_, problem, at));
}

std::byte const* GgufCursor::take(std::int64_t bytes, std::string_view what) {
    if (bytes < 0 || bytes > left()) {
        fail(offset_, fmt::format("{} needs {} bytes, but the header has only {} left", what, bytes,
                                  left()));
    }
    std::byte const* const start = bytes_.data() + offset_;
    offset_ += bytes;
    return start;
}

std::int64_t GgufCursor::count(std::int64_t bytes_each, std::string_view what) {
    std::int64_t const at = offset_;
    auto const value = number<std::uint64_t>(what);
    if (value > static_cast<std::uint64_t>(left() / bytes_each)) {
        fail(at,
             fmt::format("{} is {}, which cannot fit into the {} bytes left", what, value, left()));
    }
    return static_cast<std::int64_t>(value);
}

std::string_view GgufCursor::text(std::int64_t longest, std::string_view what) {
    std::int64_t const at = offset_;
    std::int64_t const length = count(1, what);
    if (length > longest) {
        fail(at, fmt::format("{} has {} bytes, more than the {} allowed", what, length, longest));
    }
    return {reinterpret_cast<char const*>(take(length, what)), static_cast<std::size_t>(length)};
}

GgufType GgufCursor::value_type(std::string_view what) {
    std::int64_t const at = offset_;
    auto const value = number<std::uint32_t>(what);
    if (value >= kGgufTypes) {
        fail(at, fmt::format("{} is {}, but GGUF has only the types 0 to {}", what, value,
                             kGgufTypes - 1));
    }
    return static_cast<GgufType>(value);
}

}  // namespace longhaul::io
