#pragma once

#include "io/input_stream.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace longhaul::io {

/// Cuts a file into lines: plain or gzip, "-" for standard input. Holds one line at a time, and gives one from a pipe when
/// it has arrived.
/// Errors      ValidationError when the file cannot be opened or is a folder
class LineReader {
  public:
    struct Line {
        std::string_view
            text;  ///< without its line ending; kPadding readable bytes follow it; valid until next()
        std::int64_t number = 0;  ///< from 1
        std::int64_t offset = 0;  ///< of the first byte in the (unpacked) file
        std::int64_t bytes = 0;   ///< with the line ending
        bool ended = true;        ///< false for a last line without a line feed
        bool too_long = false;    ///< text holds only its beginning
    };
    static constexpr std::size_t kPadding = 64;  // what simdjson wants behind its input

    LineReader(std::filesystem::path const& path, std::int64_t max_line_bytes);

    /// The next line, or nothing at the end and when reading fails: then failure() says why.
    [[nodiscard]] std::optional<Line> next();

    void cancel() { stream_->cancel(); }

    [[nodiscard]] std::string const& failure() const { return stream_->failure(); }
    /// Size of the file, 0 when it is not a regular one, and how much of it has been taken in (both before unpacking).
    [[nodiscard]] std::int64_t file_bytes() const { return file_bytes_; }
    [[nodiscard]] std::int64_t bytes_read() const;
    [[nodiscard]] bool regular() const { return regular_; }

  private:
    bool fill();
    std::optional<std::size_t> find_line_feed();
    void skip_rest_of_line();
    Line take(std::size_t length, std::size_t ending);

    std::optional<InputStream> stream_;
    bool regular_ = false;
    std::int64_t file_bytes_ = 0;
    std::int64_t max_line_bytes_;
    std::string buffer_;  // [begin_, end_) is unread
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t searched_ = 0;  // no line feed in [begin_, searched_)
    bool at_end_ = false;
    bool skipping_ = false;  // the rest of a line that was too long lies ahead
    std::int64_t lines_ = 0;
    std::int64_t offset_ = 0;
};

}  // namespace longhaul::io
