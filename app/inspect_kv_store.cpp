#include "base/error.hpp"
#include "io/kv_master.hpp"
#include "io/kv_segment_reader.hpp"
#include "io/kv_store_files.hpp"
#include "io/kv_store_prune.hpp"
#include "io/kv_store_scan.hpp"
#include "io/kv_store_verify.hpp"
#include "report/format.hpp"
#include "app/inspect_kv.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <ostream>
#include <set>
#include <utility>

namespace longhaul::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kShortName = 12;

struct Findings {
    io::KvStoreScan scan;
    std::map<std::string, std::int64_t> segments;  // bytes of those that are named
    std::optional<io::KvVerifyReport> verified;
    std::optional<io::KvPruneReport> pruned;
    std::vector<std::string> problems;
    double now_s = 0;

    [[nodiscard]] std::int64_t bytes() const {
        std::int64_t sum = 0;
        for (auto const& [name, size] : segments) sum += size;
        return sum;
    }
};

std::int64_t entry_bytes(io::StoredKvEntry const& entry) {
    std::int64_t bytes = 0;
    for (io::KvSegmentInfo const& segment : entry.entry.segments) bytes += segment.bytes;
    return bytes;
}

// Damage of what is there before pruning, so that it is named although it may go.
void find_problems(KvInspection const& asked, Findings& findings) {
    io::KvStoreScan scan = io::scan_kv_store(asked.folder);
    std::set<std::string> seen;
    auto const note = [&](std::string const& problem) {
        if (!problem.empty() && seen.insert(problem).second) findings.problems.push_back(problem);
    };
    for (std::string const& problem : scan.problems) note(problem);
    if (asked.verify) {
        findings.verified = io::verify_kv_store(asked.folder);
        for (std::string const& problem : findings.verified->problems) note(problem);
        return;
    }
    for (io::StoredKvEntry& entry : scan.entries) {
        note(io::lasting_kv_entry_problem(asked.folder, entry).value_or(""));
    }
}

void prune(KvInspection const& asked, Findings& findings) {
    io::KvPruneLimits limits;
    limits.max_bytes = asked.prune_bytes;
    limits.max_age_s = asked.prune_age_s;
    if (asked.prune_damaged) limits.damaged = findings.verified->damaged;
    findings.pruned = io::prune_kv_store(asked.folder, limits);
    for (std::string const& problem : findings.pruned->problems) {
        if (std::find(findings.problems.begin(), findings.problems.end(), problem) ==
            findings.problems.end()) {
            findings.problems.push_back(problem);
        }
    }
}

Findings look_through(KvInspection const& asked) {
    Findings findings;
    findings.now_s =
        std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    find_problems(asked, findings);
    if (asked.prunes()) prune(asked, findings);
    findings.scan = io::scan_kv_store(asked.folder);
    for (io::StoredKvEntry const& entry : findings.scan.entries) {
        for (io::KvSegmentInfo const& segment : entry.entry.segments) {
            findings.segments.emplace(segment.name, segment.bytes);
        }
    }
    return findings;
}

Json entry_json(io::StoredKvEntry const& stored) {
    Json segments = Json::array();
    for (io::KvSegmentInfo const& segment : stored.entry.segments) segments.push_back(segment.name);
    return {{"id", stored.id},
            {"document", stored.entry.document},
            {"tokens", stored.entry.num_tokens},
            {"blocks", stored.entry.keys.size()},
            {"bytes", entry_bytes(stored)},
            {"created_s", stored.created_s},
            {"last_use_s", stored.last_use_s},
            {"model", stored.identity.model},
            {"dtype", dtype_name(stored.identity.dtype)},
            {"block_slots", stored.identity.block_slots},
            {"segments", std::move(segments)}};
}

void print_json(KvInspection const& asked, Findings const& findings, std::ostream& out) {
    Json json = {{"store", asked.folder.string()}, {"entries", Json::array()}};
    for (io::StoredKvEntry const& entry : findings.scan.entries) {
        json["entries"].push_back(entry_json(entry));
    }
    json["segments"] = findings.segments.size();
    json["bytes"] = findings.bytes();
    if (findings.verified) {
        io::KvVerifyReport const& verified = *findings.verified;
        json["verified"] = {{"entries", verified.entries},
                            {"segments", verified.segments},
                            {"bytes", verified.bytes},
                            {"damaged_entries", verified.damaged}};
    }
    if (findings.pruned) {
        io::KvPruneReport const& pruned = *findings.pruned;
        json["pruned"] = {{"entries_removed", pruned.entries_removed},
                          {"segments_removed", pruned.segments_removed},
                          {"bytes_removed", pruned.bytes_removed},
                          {"entries_kept", pruned.entries_kept},
                          {"bytes_kept", pruned.bytes_kept}};
    }
    json["problems"] = findings.problems;
    out << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

std::string ago(double now_s, double then_s) {
    return report::clock(std::max(0.0, now_s - then_s));
}

void print_table(KvInspection const& asked, Findings const& findings, std::ostream& out) {
    if (findings.pruned) {
        io::KvPruneReport const& pruned = *findings.pruned;
        out << fmt::format(
            "pruned: {} entries and {} segments removed ({}), {} entries kept\n",
            report::grouped(pruned.entries_removed), report::grouped(pruned.segments_removed),
            report::short_bytes(pruned.bytes_removed), report::grouped(pruned.entries_kept));
    }
    out << fmt::format("{}: KV store, {} {}, {} segments, {}\n", asked.folder.string(),
                       report::grouped(static_cast<std::int64_t>(findings.scan.entries.size())),
                       findings.scan.entries.size() == 1 ? "entry" : "entries",
                       report::grouped(static_cast<std::int64_t>(findings.segments.size())),
                       report::short_bytes(findings.bytes()));
    std::vector<std::vector<std::string>> rows = {
        {"document", "tokens", "size", "age", "last use", "dtype", "model", "id"}};
    for (io::StoredKvEntry const& stored : findings.scan.entries) {
        rows.push_back({stored.entry.document, report::grouped(stored.entry.num_tokens),
                        report::short_bytes(entry_bytes(stored)),
                        ago(findings.now_s, static_cast<double>(stored.created_s)),
                        ago(findings.now_s, stored.last_use_s), dtype_name(stored.identity.dtype),
                        stored.identity.model.substr(0, kShortName),
                        stored.id.substr(0, kShortName)});
    }
    if (rows.size() > 1) out << '\n' << report::aligned(rows) << '\n';
    if (findings.verified) {
        out << fmt::format("verified: {} entries, {} segments, {}\n",
                           report::grouped(findings.verified->entries),
                           report::grouped(findings.verified->segments),
                           report::short_bytes(findings.verified->bytes));
    }
    if (findings.problems.empty()) {
        out << "nothing wrong\n";
        return;
    }
    out << fmt::format("{} problem{}:\n", findings.problems.size(),
                       findings.problems.size() == 1 ? "" : "s");
    for (std::string const& problem : findings.problems) out << "  " << problem << '\n';
    if (!asked.prune_damaged) {
        out << "--prune-damaged removes what is damaged; the next run computes it again\n";
    }
}

void write_master(KvInspection const& asked, Findings const& findings) {
    auto const parent = std::filesystem::absolute(*asked.master).parent_path();
    auto const segments = io::kv_store_segments(std::filesystem::absolute(asked.folder));
    std::vector<io::KvMasterSegment> sources;
    for (auto const& [name, bytes] : findings.segments) {
        io::KvSegmentReader const reader(segments / name);
        sources.push_back({std::filesystem::relative(segments / name, parent).string(),
                           reader.shape(), reader.blocks()});
    }
    std::map<std::string, int> times;
    for (io::StoredKvEntry const& stored : findings.scan.entries) ++times[stored.entry.document];
    std::vector<io::KvMasterSequence> sequences;
    for (io::StoredKvEntry const& stored : findings.scan.entries) {
        bool const unique = times[stored.entry.document] == 1 && !stored.entry.document.empty();
        std::string const name =
            unique ? stored.entry.document : stored.entry.document + " " + stored.id;
        sequences.push_back({name, stored.entry.keys});
    }
    LH_VALIDATE(!sources.empty(), "the KV store {} has no entries that --master could show",
                asked.folder.string());
    io::write_kv_master(*asked.master, sources, sequences);
}

}  // namespace

int inspect_kv_store(KvInspection const& asked, std::ostream& out) {
    Findings const findings = look_through(asked);
    asked.json ? print_json(asked, findings, out) : print_table(asked, findings, out);
    if (asked.master) write_master(asked, findings);
    return findings.problems.empty() ? 0 : 1;
}

}  // namespace longhaul::app
