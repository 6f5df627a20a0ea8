#include "io/queue_reader_lines.hpp"

#include "base/error.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace longhaul::io {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;

std::string reason_of(int error) { return std::generic_category().message(error); }

int open_input(std::filesystem::path const& path) {
    return path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
}

}  // namespace

LineReader::LineReader(std::filesystem::path const& path, std::int64_t max_line_bytes)
    : max_line_bytes_(max_line_bytes), buffer_(kPiece + kPadding, '\0') {
    int const descriptor = open_input(path);
    LH_VALIDATE(descriptor >= 0, "cannot open {}: {}; check the path and its permissions",
                path.string(), reason_of(errno));
    stream_.emplace(descriptor);
    struct stat status {};
    bool const known = ::fstat(descriptor, &status) == 0;
    LH_VALIDATE(!known || !S_ISDIR(status.st_mode),
                "cannot read {}: it is a folder; name a file of JSON lines", path.string());
    regular_ = known && S_ISREG(status.st_mode) && path != "-";
    file_bytes_ = regular_ ? status.st_size : 0;
}

std::int64_t LineReader::bytes_read() const {
    // Ahead of the lines by what lies in the buffer; exact enough for a percentage, and exact at the end.
    return stream_->bytes_read();
}

// Reads more behind end_; false at the end of the file or when reading fails.
bool LineReader::fill() {
    if (at_end_) return false;
    if (begin_ > 0) {
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        searched_ -= begin_;
        begin_ = 0;
    }
    if (buffer_.size() < end_ + kPiece + kPadding) buffer_.resize(2 * end_ + kPiece + kPadding);
    std::size_t const got = stream_->read(std::span(buffer_).subspan(end_, kPiece));
    end_ += got;
    at_end_ = got == 0;
    return !at_end_;
}

std::optional<LineReader::Line> LineReader::next() {
    if (skipping_) skip_rest_of_line();
    auto const limit = static_cast<std::size_t>(max_line_bytes_);
    for (;;) {
        if (auto const feed = find_line_feed()) {
            Line line = take(*feed - begin_, 1);
            line.too_long = line.text.size() > limit;
            if (line.too_long) line.text = line.text.substr(0, limit);
            return line;
        }
        if (end_ - begin_ > limit) {
            Line line = take(limit, 0);
            line.too_long = true;
            skipping_ = true;
            return line;
        }
        if (!fill()) break;
    }
    // What is left of a file that failed may be half a line: it is not offered as one.
    if (begin_ == end_ || !failure().empty()) return std::nullopt;
    Line line = take(end_ - begin_, 0);
    line.ended = false;
    return line;
}

// Place of the next line feed in the buffer; what has been searched once is not searched again.
std::optional<std::size_t> LineReader::find_line_feed() {
    auto const* const feed =
        static_cast<char const*>(std::memchr(buffer_.data() + searched_, '\n', end_ - searched_));
    searched_ = feed == nullptr ? end_ : static_cast<std::size_t>(feed - buffer_.data());
    return feed == nullptr ? std::nullopt : std::optional(searched_);
}

void LineReader::skip_rest_of_line() {
    skipping_ = false;
    for (;;) {
        auto const feed = find_line_feed();
        std::size_t const stop = feed ? *feed + 1 : end_;
        offset_ += static_cast<std::int64_t>(stop - begin_);
        begin_ = searched_ = stop;
        if (feed || !fill()) return;
    }
}

LineReader::Line LineReader::take(std::size_t length, std::size_t ending) {
    Line line;
    line.text = std::string_view(buffer_).substr(begin_, length);
    if (ending > 0 && !line.text.empty() && line.text.back() == '\r') line.text.remove_suffix(1);
    line.number = ++lines_;
    line.offset = offset_;
    line.bytes = static_cast<std::int64_t>(length + ending);
    begin_ += length + ending;
    searched_ = begin_;
    offset_ += line.bytes;
    return line;
}

}  // namespace longhaul::io
