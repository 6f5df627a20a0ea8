#include "io/kv_store_scan.hpp"

#include "base/error.hpp"
#include "io/kv_segment_check.hpp"
#include "io/kv_store_files.hpp"
#include "io/manifest.hpp"

#include <fmt/format.h>

#include <sys/stat.h>
#include <algorithm>
#include <cerrno>
#include <system_error>
#include <tuple>
#include <utility>

namespace longhaul::io {
namespace {

constexpr std::string_view kEntrySuffix = ".json";

std::optional<std::string> id_of(std::string_view name) {
    if (!name.ends_with(kEntrySuffix)) return std::nullopt;
    name.remove_suffix(kEntrySuffix.size());
    return is_hex_name(name) ? std::optional(std::string(name)) : std::nullopt;
}

void scan_one(std::filesystem::path const& store, std::string const& id, KvStoreScan& scan) {
    auto const path = kv_store_entry_path(store, id);
    auto const complain = [&](std::string const& what) {
        scan.whole = false;
        scan.problems.push_back(
            fmt::format("{} {}; its document is computed again", path.string(), what));
    };
    try {
        if (auto entry = read_kv_entry(store, id)) scan.entries.push_back(std::move(*entry));
    } catch (DamagedManifest const& damage) {
        complain(fmt::format("is damaged: {}", damage.what()));
        scan.damaged.push_back(path);
    } catch (ForeignKvEntry const& other) {
        complain(fmt::format("is not used: {}", other.what()));
    } catch (IoError const& error) {
        complain(fmt::format("is not used: {}", error.what()));
    }
}

}  // namespace

std::vector<std::string> names_in_store(std::filesystem::path const& folder) {
    std::vector<std::string> names;
    std::error_code error;
    std::filesystem::directory_iterator place(folder, error);
    for (; !error && place != std::filesystem::directory_iterator(); place.increment(error)) {
        names.push_back(place->path().filename().string());
    }
    LH_VALIDATE(!error, "cannot list {}: {}; check its permissions or use another KV store",
                folder.string(), error.message());
    std::sort(names.begin(), names.end());
    return names;
}

std::optional<StoredKvEntry> read_kv_entry(std::filesystem::path const& store,
                                           std::string const& id) {
    auto const path = kv_store_entry_path(store, id);
    auto const content = read_whole_file(path);
    struct stat status {};
    if (int const* const error = std::get_if<int>(&content)) {
        if (*error == ENOENT) return std::nullopt;
        throw_io_error(path, "read", *error);
    }
    StoredKvEntry entry = parse_kv_entry(std::get<std::string>(content));
    if (entry.id != id) {
        throw DamagedManifest("it is entry " + entry.id + " under another name");
    }
    if (::stat(path.c_str(), &status) != 0) return std::nullopt;
    entry.last_use_s = static_cast<double>(status.st_mtim.tv_sec) +
                       static_cast<double>(status.st_mtim.tv_nsec) * 1e-9;
    return entry;
}

KvStoreScan scan_kv_store(std::filesystem::path const& store) {
    check_kv_store(store);
    KvStoreScan scan;
    for (std::string const& name : names_in_store(kv_store_entries(store))) {
        if (auto const id = id_of(name)) scan_one(store, *id, scan);
    }
    std::sort(scan.entries.begin(), scan.entries.end(),
              [](StoredKvEntry const& a, StoredKvEntry const& b) {
                  return std::tie(a.last_use_s, a.created_s, a.id) <
                         std::tie(b.last_use_s, b.created_s, b.id);
              });
    return scan;
}

std::string kv_entry_problem(std::filesystem::path const& store, StoredKvEntry const& entry) {
    for (KvSegmentInfo const& segment : entry.entry.segments) {
        auto const path = kv_store_segments(store) / segment.name;
        std::string const wrong = segment_file_problem(path, segment.bytes);
        if (!wrong.empty()) return fmt::format("{} {}", path.string(), wrong);
    }
    return {};
}

std::optional<std::string> lasting_kv_entry_problem(std::filesystem::path const& store,
                                                    StoredKvEntry& entry) {
    constexpr int kMostReads = 4;
    std::string problem = kv_entry_problem(store, entry);
    for (int reads = 0; !problem.empty() && reads < kMostReads; ++reads) {
        try {
            auto again = read_kv_entry(store, entry.id);
            if (!again) return std::nullopt;
            entry = std::move(*again);
        } catch (DamagedManifest const& damage) {
            return fmt::format("{} is damaged: {}", kv_store_entry_path(store, entry.id).string(),
                               damage.what());
        }
        problem = kv_entry_problem(store, entry);
    }
    return problem;
}

}  // namespace longhaul::io
