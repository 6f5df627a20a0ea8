#include "io/kv_store.hpp"

#include "base/error.hpp"
#include "io/kv_coverage.hpp"
#include "io/kv_segment_check.hpp"
#include "io/kv_segment_reader.hpp"
#include "io/kv_store_files.hpp"
#include "io/kv_store_prune.hpp"
#include "io/kv_store_scan.hpp"
#include "io/manifest.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <utility>

namespace longhaul::io {
namespace {

constexpr double kPruningSeconds = 600;  // at most; removing files is quick

std::int64_t unix_time() {
    auto const now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

}  // namespace

bool of_identity(KvSegmentShape const& shape, KvStoreIdentity const& identity) {
    return shape.model == identity.model && shape.dtype == identity.dtype &&
           shape.block_slots == identity.block_slots;
}

KvStore::KvStore(std::filesystem::path folder, KvStoreIdentity identity, LinkFile link_file)
    : folder_(std::move(folder)),
      identity_(std::move(identity)),
      link_file_(link_file == nullptr ? &::link : link_file) {
    make_kv_store(folder_);
    // Whether there are locks shows here and not after hours.
    KvStoreLock const lock(folder_, KvStoreLock::Kind::shared, kPruningSeconds);
}

std::filesystem::path KvStore::segments_folder() const { return kv_store_segments(folder_); }

KvStoreContent KvStore::load() const {
    KvStoreScan scan = scan_kv_store(folder_);
    KvStoreContent content;
    content.problems = std::move(scan.problems);
    std::map<std::string, KvSegmentInfo> segments;
    for (StoredKvEntry& entry : scan.entries) {
        if (entry.identity != identity_) continue;
        auto const wrong = lasting_kv_entry_problem(folder_, entry);
        if (!wrong) continue;
        if (!wrong->empty()) {
            content.problems.push_back(fmt::format("{}; entry {} ({}) of the KV store is not used",
                                                   *wrong, entry.id, entry.entry.document));
            continue;
        }
        for (KvSegmentInfo const& segment : entry.entry.segments) {
            segments.emplace(segment.name, segment);
        }
        content.entries.push_back(std::move(entry));
    }
    for (auto& [name, segment] : segments) content.segments.push_back(std::move(segment));
    return content;
}

bool KvStore::whole(std::string const& id) const {
    try {
        auto const entry = read_kv_entry(folder_, id);
        return entry && kv_entry_problem(folder_, *entry).empty();
    } catch (DamagedManifest const&) {
        return false;
    } catch (ForeignKvEntry const&) {
        return true;  // somebody can read it: it is not for us to replace
    } catch (IoError const&) {
        return false;
    }
}

bool KvStore::has(BlockKey const& last_key) const {
    return whole(kv_entry_id(identity_, last_key));
}

std::vector<KvStore::Source> KvStore::check_sources(
    KvStoreEntry const& entry, std::filesystem::path const& from_folder) const {
    struct Candidate {
        Source source;
        KvSegmentShape shape;
        std::vector<KvSegmentBlock> blocks;
        std::int64_t foreign = 0;
    };
    std::vector<Candidate> candidates;
    std::optional<KvCoverage> coverage;
    for (KvSegmentInfo const& segment : entry.segments) {
        auto const path = from_folder / segment.name;
        KvSegmentReader const reader(path);
        KvSegmentInfo const& info = reader.info();
        LH_VALIDATE(info.bytes == segment.bytes && info.blocks == segment.blocks &&
                        info.checksum == segment.checksum,
                    "{} is not the segment that was written; it does not go into the KV store",
                    path.string());
        if (!coverage) coverage.emplace(entry.keys, reader.shape());
        LH_VALIDATE(
            of_identity(reader.shape(), identity_) &&
                (candidates.empty() || same_cache(candidates.front().shape, reader.shape())),
            "{} is of another model or dtype than this run; it does not go into the KV "
            "store {}",
            path.string(), folder_.string());
        candidates.push_back({{segment.name, info},
                              reader.shape(),
                              reader.blocks(),
                              coverage->num_foreign(reader.blocks())});
    }
    // A block may be in several: what holds least besides the document is taken first.
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](Candidate const& a, Candidate const& b) { return a.foreign < b.foreign; });
    std::vector<Source> sources;
    for (Candidate& candidate : candidates) {
        if (!coverage->add(candidate.shape, candidate.blocks)) continue;
        KvSegmentInfo& info = candidate.source.info;
        info.name = kv_store_segment_name(candidate.shape, candidate.blocks, info);
        sources.push_back(std::move(candidate.source));
    }
    std::string const missing = coverage ? coverage->missing() : "there are no segments";
    LH_VALIDATE(missing.empty(),
                "the KV entries of {} do not go into the KV store {}: {}; the document is computed "
                "again next time",
                entry.document, folder_.string(), missing);
    return sources;
}

void KvStore::add(KvStoreEntry const& entry, std::filesystem::path const& from_folder) const {
    LH_EXPECT(!entry.keys.empty());
    KvStoreLock lock(folder_, KvStoreLock::Kind::shared, kPruningSeconds);
    std::string const id = kv_entry_id(identity_, entry.keys.back());
    if (whole(id)) {
        touch(id);
        return;
    }
    StoredKvEntry stored{id, identity_, entry, unix_time(), 0};
    stored.entry.segments.clear();
    try {
        std::vector<Source> const sources = check_sources(entry, from_folder);
        for (Source const& source : sources) {
            publish_segment(from_folder / source.from, segments_folder() / source.info.name,
                            source.info, link_file_);
            stored.entry.segments.push_back(source.info);
        }
        sync_folder(segments_folder());
        publish_file(kv_store_entry_path(folder_, id), serialize_kv_entry(stored));
        sync_folder(kv_store_entries(folder_));
    } catch (IoError const&) {
        // Segments without an entry would fill the disk further. While others add too, the next pruning removes them.
        if (lock.become_exclusive()) remove_unnamed_files(folder_);
        throw;
    }
}

void KvStore::touch(std::string const& entry_id) const {
    LH_EXPECT(is_hex_name(entry_id));
    static_cast<void>(
        ::utimensat(AT_FDCWD, kv_store_entry_path(folder_, entry_id).c_str(), nullptr, 0));
}

}  // namespace longhaul::io
