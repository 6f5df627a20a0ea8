#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace longhaul::io {

/// Which entries have to go.
struct KvPruneLimits {
    std::optional<std::int64_t>
        max_bytes;                    ///< the rest takes no more: least recently used go first
    std::optional<double> max_age_s;  ///< not used for longer
    std::vector<std::string> damaged = {};  ///< entry ids: KvVerifyReport::damaged
    double patience_s = 60;                 ///< waiting for those who add
};

struct KvPruneReport {
    std::int64_t entries_removed = 0;
    std::int64_t segments_removed = 0;
    std::int64_t bytes_removed =
        0;  ///< each segment once; what a checkpoint links to goes on to take room
    std::int64_t entries_kept = 0;
    std::int64_t bytes_kept = 0;
    std::vector<std::string> problems;  ///< what could not be removed or is not understood
};

/// Removes entries of all models, then segments that no entry names, and what broken-off runs left behind. Entries that are
/// damaged themselves go in any case; beside an entry that cannot be understood (of a later version, unreadable) all
/// segments stay. A crash in between leaves unnamed segments, never an entry without its segments.
/// Errors      ValidationError: no store, or others use it for longer than patience_s; IoError
[[nodiscard]] KvPruneReport prune_kv_store(std::filesystem::path const& store,
                                           KvPruneLimits const& limits);

/// The last step of pruning alone, as far as it can be done.
/// Requires    the exclusive lock
void remove_unnamed_files(std::filesystem::path const& store);

}  // namespace longhaul::io
