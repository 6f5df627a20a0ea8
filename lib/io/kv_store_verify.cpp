#include "io/kv_store_verify.hpp"

#include "base/error.hpp"
#include "io/kv_coverage.hpp"
#include "io/kv_segment_check.hpp"
#include "io/kv_store.hpp"
#include "io/kv_store_files.hpp"
#include "io/kv_store_scan.hpp"

#include <fmt/format.h>

#include <unistd.h>
#include <map>
#include <optional>
#include <utility>

namespace longhaul::io {
namespace {

/// Checked segments by name.
class Checks {
  public:
    Checks(std::filesystem::path folder, KvVerifyReport& report)
        : folder_(std::move(folder)), report_(report) {}

    KvSegmentCheck const& of(KvSegmentInfo const& segment) {
        auto place = checks_.find(segment.name);
        if (place == checks_.end()) {
            place =
                checks_.try_emplace(segment.name, KvSegmentCheck(folder_ / segment.name, segment))
                    .first;
            ++report_.segments;
            report_.bytes += place->second.bytes_read();
        }
        return place->second;
    }

  private:
    std::filesystem::path folder_;
    KvVerifyReport& report_;
    std::map<std::string, KvSegmentCheck> checks_;
};

// What an entry lacks; damage of its segments is added to `found`, by their names.
std::string verify_entry(StoredKvEntry const& stored, Checks& checks,
                         std::map<std::string, std::vector<std::string>>& found) {
    std::optional<KvCoverage> coverage;
    std::optional<KvSegmentShape> first;
    for (KvSegmentInfo const& segment : stored.entry.segments) {
        KvSegmentCheck const& check = checks.of(segment);
        if (!check.problems().empty()) found[segment.name] = check.problems();
        if (!check.shape()) continue;
        if (!of_identity(*check.shape(), stored.identity) ||
            (first && !same_cache(*first, *check.shape()))) {
            return fmt::format("its segment {} is of another model or dtype", segment.name);
        }
        if (!first) {
            first = check.shape();
            coverage.emplace(stored.entry.keys, *first);
        }
        coverage->add(*check.shape(), check.blocks(),
                      [&](std::int64_t row, std::int64_t layer, std::int64_t head) {
                          return check.sound(row, layer, head);
                      });
    }
    return coverage ? coverage->missing() : "none of its segments can be read";
}

}  // namespace

KvVerifyReport verify_kv_store(std::filesystem::path const& store) {
    KvStoreScan scan = scan_kv_store(store);
    KvVerifyReport report;
    report.problems = std::move(scan.problems);
    Checks checks(kv_store_segments(store), report);
    std::map<std::string, std::vector<std::string>> segments;
    std::vector<std::string> entries;
    for (StoredKvEntry const& stored : scan.entries) {
        std::map<std::string, std::vector<std::string>> found;
        std::string const lacks = verify_entry(stored, checks, found);
        // Damage of what was pruned meanwhile is none.
        if (::access(kv_store_entry_path(store, stored.id).c_str(), F_OK) != 0) continue;
        ++report.entries;
        segments.merge(found);
        if (lacks.empty()) continue;
        entries.push_back(
            fmt::format("entry {} ({}): {}", stored.id, stored.entry.document, lacks));
        report.damaged.push_back(stored.id);
    }
    for (auto const& [name, problems] : segments) {
        report.problems.insert(report.problems.end(), problems.begin(), problems.end());
    }
    report.problems.insert(report.problems.end(), entries.begin(), entries.end());
    return report;
}

}  // namespace longhaul::io
