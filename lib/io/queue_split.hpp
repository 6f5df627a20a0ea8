#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

/// Cuts a queue into parts for the tasks of a Slurm array, without MPI.
namespace longhaul::io {

/// As many elements as an array of Slurm may have by default.
inline constexpr std::int64_t kMaxQueueParts = 1000;

struct QueuePart {
    std::filesystem::path path;
    std::int64_t jobs = 0;
    std::int64_t documents = 0;
    std::int64_t bytes = 0;  ///< of its documents, each once

    friend bool operator==(QueuePart const&, QueuePart const&) = default;
};

/// OUTPUT/part-3.jsonl: the number is the array task's.
[[nodiscard]] std::filesystem::path queue_part_path(std::filesystem::path const& folder,
                                                    std::int64_t part);

/// Writes `parts` queues into the folder `output` (made where needed). All jobs of one document go into one part, so that its
/// prefill is still paid once; the parts are of about equal size, counted in bytes of documents plus what may be generated.
/// Jobs keep their order and their lines, byte for byte, except that a relative "path" becomes absolute: job_hash, which does
/// not look at paths, stays the same. Lines that are no jobs but have an id go along and get their error line from the run.
/// Either all parts are there afterwards or none.
/// Errors      ValidationError: a queue that cannot be read twice, has ids twice or lines without an id (results could not be
///             joined by it), fewer documents than parts, parts of an earlier split in the way; IoError
[[nodiscard]] std::vector<QueuePart> split_queue(std::filesystem::path const& queue,
                                                 std::filesystem::path const& output,
                                                 std::int64_t parts);

/// The line with its field "path" counted from `folder`; the same line where the path is absolute or there is none.
/// Requires    a line that parse_job takes for a job
[[nodiscard]] std::string with_absolute_path(std::string_view line,
                                             std::filesystem::path const& folder);

}  // namespace longhaul::io
