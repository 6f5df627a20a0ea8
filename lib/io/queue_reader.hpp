#pragma once

#include "io/job.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace longhaul::io {

struct QueueEntry {
    std::int64_t line_number = 0;  ///< from 1, empty lines counted
    std::int64_t line_bytes = 0;
    ParsedJob job;
};

struct QueueOptions {
    /// Look through a regular file for its ids first: counts the jobs, and refuses the queue if an id stands twice. Without
    /// it, and for pipes, the later of two jobs with the same id becomes an error line.
    bool scan_first = true;
    std::int64_t max_line_bytes = std::int64_t{1} << 29;
};

/// Reads the jobs of a queue one by one: JSON lines, plain or gzip, "-" for standard input; lines of any length; empty lines
/// skipped; LF or CRLF; the last line may lack its line feed. A line that is no job comes out as BadJob, and so does the rest
/// of a file that cannot be read any further. Paths of jobs count from the folder of the queue file (stdin: the current one).
/// Requires    one thread; memory is one line and 24 bytes per job
/// Errors      the constructor throws ValidationError (no such file, no jobs at all, an id twice); next() throws nothing
class QueueReader {
  public:
    explicit QueueReader(std::filesystem::path const& queue, QueueOptions options = {});
    QueueReader(QueueReader const&) = delete;
    QueueReader& operator=(QueueReader const&) = delete;
    ~QueueReader();

    [[nodiscard]] std::optional<QueueEntry> next();

    /// From any thread: a next() that waits for a pipe comes back; what follows is not the queue's content any more.
    void cancel();

    /// Lines with something on them; known only for files that were scanned.
    [[nodiscard]] std::optional<std::int64_t> jobs_total() const;
    [[nodiscard]] std::int64_t jobs_read() const;
    /// Bytes taken from the file (before unpacking), and their share of it in [0, 1] where its size is known.
    [[nodiscard]] std::int64_t bytes_read() const;
    [[nodiscard]] std::optional<double> fraction_read() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace longhaul::io
