#include "io/kv_store_prune.hpp"

#include "base/error.hpp"
#include "io/kv_store_files.hpp"
#include "io/kv_store_scan.hpp"

#include <fmt/format.h>

#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <unordered_set>
#include <utility>

namespace longhaul::io {
namespace {

using Path = std::filesystem::path;

std::int64_t file_bytes(Path const& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 ? status.st_size : 0;
}

/// One pruning, under the exclusive lock.
class Pruner {
  public:
    explicit Pruner(Path const& store) : store_(store), scan_(scan_kv_store(store)) {
        for (StoredKvEntry const& entry : scan_.entries) {
            bytes_ += file_bytes(kv_store_entry_path(store_, entry.id));
            for (KvSegmentInfo const& segment : entry.entry.segments) {
                if (users_[segment.name]++ == 0) bytes_ += segment_bytes(segment.name);
            }
        }
    }

    void remove_entries(KvPruneLimits const& limits);
    void remove_unnamed();
    [[nodiscard]] KvPruneReport report() {
        report_.entries_kept = static_cast<std::int64_t>(scan_.entries.size());
        report_.bytes_kept = bytes_;
        return std::move(report_);
    }

  private:
    [[nodiscard]] std::int64_t segment_bytes(std::string const& name) const {
        return file_bytes(kv_store_segments(store_) / name);
    }
    bool remove_file(Path const& path);
    void remove_damaged();
    bool remove_entry(StoredKvEntry const& entry);

    Path const& store_;
    KvStoreScan scan_;
    std::map<std::string, std::int64_t> users_;  // segments and how many entries name them
    std::int64_t bytes_ = 0;                     // of what is named
    bool removed_entries_ = false;
    KvPruneReport report_;
};

bool Pruner::remove_file(Path const& path) {
    std::int64_t const bytes = file_bytes(path);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
        report_.problems.push_back(
            fmt::format("cannot remove {}: {}", path.string(), errno_text(errno)));
        return false;
    }
    report_.bytes_removed += bytes;
    return true;
}

void Pruner::remove_damaged() {
    bool all = true;
    for (Path const& path : scan_.damaged) {
        bool const gone = remove_file(path);
        all = all && gone;
        if (!gone) continue;
        ++report_.entries_removed;
        removed_entries_ = true;
    }
    // Every entry that was not understood was a damaged one, and they are gone.
    if (all && scan_.problems.size() == scan_.damaged.size()) {
        scan_.whole = true;
        scan_.problems.clear();
    }
    report_.problems.insert(report_.problems.end(), scan_.problems.begin(), scan_.problems.end());
}

bool Pruner::remove_entry(StoredKvEntry const& entry) {
    Path const path = kv_store_entry_path(store_, entry.id);
    std::int64_t const bytes = file_bytes(path);
    if (!remove_file(path)) return false;
    ++report_.entries_removed;
    removed_entries_ = true;
    bytes_ -= bytes;
    for (KvSegmentInfo const& segment : entry.entry.segments) {
        if (--users_[segment.name] == 0) bytes_ -= segment_bytes(segment.name);
    }
    return true;
}

void Pruner::remove_entries(KvPruneLimits const& limits) {
    remove_damaged();
    auto const since_epoch = std::chrono::system_clock::now().time_since_epoch();
    double const now = std::chrono::duration<double>(since_epoch).count();
    std::erase_if(scan_.entries, [&](StoredKvEntry const& entry) {
        bool const damaged = std::find(limits.damaged.begin(), limits.damaged.end(), entry.id) !=
                             limits.damaged.end();
        bool const old = limits.max_age_s && now - entry.last_use_s > *limits.max_age_s;
        bool const too_much = limits.max_bytes && bytes_ > *limits.max_bytes;
        return (damaged || old || too_much) && remove_entry(entry);
    });
    // An entry must not come back after a crash when its segments are gone.
    if (removed_entries_) sync_folder(kv_store_entries(store_));
}

void Pruner::remove_unnamed() {
    std::unordered_set<std::string_view> named;
    for (auto const& [name, users] : users_) {
        if (users > 0) named.insert(name);
    }
    bool changed = false;
    Path const segments = kv_store_segments(store_);
    for (std::string const& name : names_in_store(segments)) {
        bool const unnamed = scan_.whole && is_kv_store_segment(name) && !named.contains(name);
        if (!unnamed && !name.ends_with(".tmp")) continue;
        if (!remove_file(segments / name)) continue;
        changed = true;
        if (unnamed) ++report_.segments_removed;
    }
    if (changed) sync_folder(segments);
    for (Path const& folder : {store_, kv_store_entries(store_)}) {
        for (std::string const& name : names_in_store(folder)) {
            if (name.ends_with(".tmp")) remove_file(folder / name);
        }
    }
}

}  // namespace

KvPruneReport prune_kv_store(std::filesystem::path const& store, KvPruneLimits const& limits) {
    check_kv_store(store);
    KvStoreLock const lock(store, KvStoreLock::Kind::exclusive, limits.patience_s);
    Pruner pruner(store);
    pruner.remove_entries(limits);
    pruner.remove_unnamed();
    return pruner.report();
}

void remove_unnamed_files(std::filesystem::path const& store) { Pruner(store).remove_unnamed(); }

}  // namespace longhaul::io
