#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

/// Joins what the tasks of a Slurm array wrote, without MPI.
namespace longhaul::io {

struct MergeRequest {
    std::vector<std::filesystem::path> outputs;  ///< output folders of runs
    /// A name that ends in .jsonl is a file; any other is a folder (made where needed), which gets results.jsonl and
    /// identity.json: `longhaul run` on the whole queue can go on in it.
    std::filesystem::path target;
    std::optional<std::filesystem::path> queue;  ///< gives the order, and the ids there should be
};

struct MergeReport {
    std::filesystem::path results;  ///< the file written
    std::int64_t num_ok = 0;
    std::int64_t num_failed = 0;
    std::vector<std::string> missing;   ///< ids of the queue without a result
    std::vector<std::string> left_out;  ///< ids with a result that are not in the queue
    std::vector<std::string> running;   ///< output folders whose run is not complete

    /// Every job has a good result.
    [[nodiscard]] bool complete() const {
        return num_failed == 0 && missing.empty() && running.empty();
    }
};

/// Writes one line per id, byte for byte: in the order of the queue where one is given, else in the order of the folders and
/// of their lines. Of an id with the same job_hash in several folders a good result wins over an error, then the later folder.
/// The file appears when it is whole, and replaces that of an earlier merge.
/// Errors      ValidationError, and nothing is written: a folder without results, folders of different models, dtypes or
///             templates, an id with different job_hash, a target that belongs to a run; IoError
[[nodiscard]] MergeReport merge_results(MergeRequest const& request);

}  // namespace longhaul::io
