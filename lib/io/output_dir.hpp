#pragma once

#include "io/output_dir_files.hpp"
#include "io/output_dir_index.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace longhaul::io {

/// What all results of one OUTPUT have in common. Fingerprints are any strings that differ where results would.
struct RunIdentity {
    std::string model_fingerprint;
    std::string dtype;
    std::string template_fingerprint;
    std::string model_name;  ///< for messages; may differ

    friend bool operator==(RunIdentity const&, RunIdentity const&) = default;
};

/// What OUTPUT/identity.json says; nothing when it is missing or cannot be understood.
[[nodiscard]] std::optional<RunIdentity> read_identity(std::filesystem::path const& output);

enum class RunState { running, complete, requeue };

/// What a restart does with a job.
enum class Decision {
    run,
    skip_done,   ///< has a good result of the same hash
    skip_failed  ///< failed with the same hash: counts as failed again
};
[[nodiscard]] Decision decide(std::optional<KnownResult> const& known, std::string_view job_hash,
                              bool retry_errors);

/// The folder OUTPUT of a run, with world rank 0 as its only writer:
///   results.jsonl   one line per finished job, synced one by one; a later line of an id supersedes an earlier one
///   state.json, run.json, identity.json   always whole: replaced by renaming
///   lock            held (flock) while this object lives, with host and process of the holder in it
/// Requires    one thread at a time
/// Errors      ValidationError from the constructor (folder in use, cannot be made, or of another model, dtype or template);
///             IoError, also from the constructor, when writing fails: what was appended before stays whole
class OutputDir {
  public:
    /// Makes the folder where needed, takes the lock, drops a torn end of results.jsonl.
    OutputDir(std::filesystem::path folder, RunIdentity const& identity);

    [[nodiscard]] std::filesystem::path const& folder() const { return folder_; }
    [[nodiscard]] std::optional<KnownResult> known(std::string const& id) const {
        return index_.find(id);
    }
    [[nodiscard]] std::int64_t num_known() const { return index_.num_ids(); }

    /// Appends one result line (to_json_line) and returns when it is on the disk.
    void append(std::string_view json_line);
    void write_state(RunState state, std::string_view reason);
    void write_run_record(std::string_view json);
    /// For a complete run: rewrites results.jsonl with one line per id.
    void finish();

  private:
    void take_lock();
    void check_identity(RunIdentity const& identity);
    void open_results();
    [[nodiscard]] std::filesystem::path results_path() const { return folder_ / "results.jsonl"; }

    std::filesystem::path folder_;
    FileDescriptor lock_;
    FileDescriptor results_;
    ResultIndex index_;
};

}  // namespace longhaul::io
