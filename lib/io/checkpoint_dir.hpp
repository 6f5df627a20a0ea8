#pragma once

#include "io/checkpoint_load.hpp"
#include "io/checkpoint_scan.hpp"
#include "io/folder_changes.hpp"
#include "io/manifest.hpp"
#include "io/output_dir_files.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

namespace longhaul::io {

/// What to do with the checkpoint that a folder holds.
enum class OldCheckpoint { resume, discard };

/// The checkpoint folder, with world rank 0 as its only writer of manifests and the only one who deletes:
///   manifest-r<run>-p<replica>-e<epoch>.json   state of a replica after a step
///   segments/r<run>-...-<number>.h5            KV blocks, written by the ranks
///   kv.h5                                      shows the segments to h5py, where the run writes it
///   runs                                       number of the latest run
///   lock                                       held (flock) while this object lives
///
/// Which manifests are kept: every sequence without a result stays in the two youngest whole manifests that have it, of
/// whatever run and replica; the youngest manifest of each replica of this run stays too. A segment that a manifest of this
/// run named goes when no kept manifest names it; segments of this run that no manifest has named yet are in flight and
/// stay, and so do those of earlier runs that were there at the start, which any rank may read until this run ends. A manifest is durable before anything goes, and goes before its segments, so that the folder is
/// consistent at every instant. Manifests of a replica must not name a segment again that one before left out.
///
/// Use         construct; result_written() for every saved sequence that has a result; start_run(); commit() and
///             result_written() as things happen; finish_all() at the end of a complete run
/// Requires    the lock on OUTPUT; one thread at a time
/// Errors      ValidationError from the constructor (folder in use or cannot be made; checkpoint of another model, dtype,
///             template or format); IoError when writing fails, and then the old state stays as it was
class CheckpointDir {
  public:
    CheckpointDir(std::filesystem::path folder, RunIdentity identity, OldCheckpoint old,
                  FolderChanges& changes = FolderChanges::real());

    [[nodiscard]] std::filesystem::path const& folder() const { return folder_; }
    /// What the folder held when it was opened; empty after OldCheckpoint::discard.
    [[nodiscard]] LoadedCheckpoint const& saved() const { return saved_; }

    /// Takes the next run number, makes it durable, and removes what earlier runs left behind. To be called once.
    std::int64_t start_run();
    [[nodiscard]] std::int64_t run() const { return run_; }

    /// Writes a manifest of this run, then collects garbage. `dropped` are segments of this run that need no name any more
    /// and perhaps never had one (all their sequences ended between two epochs).
    /// Requires    start_run(); id.run == run(), an epoch above those of the same replica, the identity of this folder;
    ///             its segments are durable under their final names
    /// Errors      IoError: the epoch does not exist, the older ones do; a later one may succeed
    void commit(Manifest const& manifest, std::span<std::string const> dropped = {});

    /// The job's result is durable: no manifest is kept for its sake, from the next commit on. `replica` is the one of this
    /// run that worked on it. What earlier runs saved of the job stays until that replica has committed twice more: it may
    /// have taken entries over from segments that it has not come to name yet, and an epoch may be under way that was
    /// collected before. So a replica without work should commit too.
    void result_written(std::string const& job_id,
                        std::optional<std::int64_t> replica = std::nullopt);

    /// Removes everything of ours, and the folder when it is empty then. Nothing may be called afterwards.
    /// Requires    no rank reads or writes segments any more
    /// Returns     how many saved sequences without a result went with it
    std::int64_t finish_all();

  private:
    /// Jobs with a result by the number of commits of their replica since.
    struct Unsettled {
        std::vector<std::string> none;
        std::vector<std::string> one;
    };

    void take_lock();
    void discard_all();
    void write_manifest(std::filesystem::path const& path, std::string const& text);
    void settle_results(std::int64_t replica);
    void collect_garbage();
    bool remove_manifests();
    void remove_segments();
    bool remove_file(std::filesystem::path const& path);
    [[nodiscard]] std::int64_t last_run_number() const;
    [[nodiscard]] std::vector<bool> kept_manifests() const;

    std::filesystem::path folder_;
    RunIdentity identity_;
    FolderChanges& changes_;
    FileDescriptor lock_;
    LoadedCheckpoint saved_;
    std::vector<ManifestOutline> manifests_;  // youngest first
    std::vector<std::string> damaged_;        // manifests that go with the first epoch of this run
    std::set<std::string> segments_;          // those that may be removed when nothing names them
    std::set<std::string> kept_for_readers_;  // of earlier runs
    std::unordered_set<std::string> with_result_;
    std::unordered_set<std::string> settled_;  // of those: earlier runs' manifests need not stay
    std::map<std::int64_t, Unsettled> unsettled_;
    std::int64_t highest_run_ = 0;  // of the files found
    std::int64_t run_ = 0;
    bool warned_ = false;
};

}  // namespace longhaul::io
