#include "base/error.hpp"
#include "io/checkpoint_load.hpp"
#include "io/checkpoint_scan.hpp"
#include "io/kv_segment_check.hpp"
#include "io/kv_store_files.hpp"
#include "io/manifest.hpp"
#include "io/manifest_format.hpp"
#include "report/format.hpp"
#include "app/inspect_kv.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <map>
#include <ostream>
#include <utility>

namespace longhaul::app {
namespace {

using Json = nlohmann::ordered_json;

struct SavedJob {
    io::EpochId from;
    io::SavedSequence sequence;
};

struct Findings {
    std::vector<io::Manifest> manifests;   // youngest first, their sequences moved to jobs
    std::vector<std::int64_t> sequences;   // how many each of them has
    std::map<std::string, SavedJob> jobs;  // from the youngest manifest that has it
    std::map<std::string, io::KvSegmentInfo> segments;
    std::int64_t verified_bytes = 0;
    std::vector<std::string> problems;

    [[nodiscard]] std::int64_t bytes() const {
        std::int64_t sum = 0;
        for (auto const& [name, segment] : segments) sum += segment.bytes;
        return sum;
    }
};

void take_manifest(std::filesystem::path const& path, io::EpochId const& id, Findings& findings) {
    auto const text = io::read_whole_file(path);
    if (int const* const error = std::get_if<int>(&text)) {
        // A run that goes on removes old manifests.
        if (*error == ENOENT) return;
        findings.problems.push_back(
            fmt::format("{} cannot be read: {}", path.string(), io::errno_text(*error)));
        return;
    }
    try {
        io::Manifest manifest = io::parse_manifest(std::get<std::string>(text));
        if (manifest.id != id) {
            throw io::DamagedManifest("it is " + io::manifest_name(manifest.id) +
                                      " under another name");
        }
        findings.sequences.push_back(static_cast<std::int64_t>(manifest.sequences.size()));
        for (io::SavedSequence& sequence : manifest.sequences) {
            std::string key = sequence.job_id;
            findings.jobs.try_emplace(std::move(key), SavedJob{id, std::move(sequence)});
        }
        manifest.sequences.clear();
        for (io::KvSegmentInfo const& segment : manifest.segments) {
            findings.segments.try_emplace(segment.name, segment);
        }
        findings.manifests.push_back(std::move(manifest));
    } catch (io::DamagedManifest const& damage) {
        findings.problems.push_back(fmt::format("{} is damaged: {}", path.string(), damage.what()));
    }
}

void check_segments(KvInspection const& asked, Findings& findings) {
    for (auto const& [name, segment] : findings.segments) {
        auto const path = io::segments_folder(asked.folder) / name;
        if (asked.verify) {
            io::KvSegmentCheck const check(path, segment);
            findings.verified_bytes += check.bytes_read();
            findings.problems.insert(findings.problems.end(), check.problems().begin(),
                                     check.problems().end());
            continue;
        }
        std::string const wrong = io::segment_file_problem(path, segment.bytes);
        if (!wrong.empty()) findings.problems.push_back(fmt::format("{} {}", path.string(), wrong));
    }
}

Findings look_through(KvInspection const& asked) {
    Findings findings;
    for (io::EpochId const& id : io::list_checkpoint(asked.folder).manifests) {
        take_manifest(asked.folder / io::manifest_name(id), id, findings);
    }
    check_segments(asked, findings);
    return findings;
}

char const* end_name(io::SavedEnd end) {
    return end == io::SavedEnd::none ? "goes on"
                                     : io::kSavedEndNames[static_cast<std::size_t>(end)];
}

void print_json(KvInspection const& asked, Findings const& findings, std::ostream& out) {
    Json json = {{"checkpoint", asked.folder.string()},
                 {"manifests", Json::array()},
                 {"sequences", Json::array()},
                 {"segments", Json::array()}};
    for (std::size_t i = 0; i < findings.manifests.size(); ++i) {
        io::Manifest const& manifest = findings.manifests[i];
        io::GridInfo const& grid = manifest.grid;
        json["manifests"].push_back(
            {{"name", io::manifest_name(manifest.id)},
             {"model_name", manifest.identity.model_name},
             {"model", manifest.identity.model_fingerprint},
             {"dtype", manifest.identity.dtype},
             {"grid",
              {{"replicas", grid.replicas}, {"spp", grid.spp}, {"kvp", grid.kvp}, {"tp", grid.tp}}},
             {"sequences", findings.sequences[i]},
             {"segments", manifest.segments.size()}});
    }
    for (auto const& [id, job] : findings.jobs) {
        json["sequences"].push_back(
            {{"id", id},
             {"manifest", io::manifest_name(job.from)},
             {"prompt_tokens", job.sequence.prompt_tokens},
             {"position", job.sequence.position},
             {"generated", job.sequence.generated.size()},
             {"end", io::kSavedEndNames[static_cast<std::size_t>(job.sequence.end)]}});
    }
    for (auto const& [name, segment] : findings.segments) {
        json["segments"].push_back(
            {{"name", name}, {"bytes", segment.bytes}, {"blocks", segment.blocks}});
    }
    json["bytes"] = findings.bytes();
    if (asked.verify) json["verified"] = {{"bytes", findings.verified_bytes}};
    json["problems"] = findings.problems;
    out << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

void print_table(KvInspection const& asked, Findings const& findings, std::ostream& out) {
    out << fmt::format("{}: checkpoint, {} manifests, {} sequences, {} segments, {}\n",
                       asked.folder.string(), findings.manifests.size(), findings.jobs.size(),
                       findings.segments.size(), report::short_bytes(findings.bytes()));
    std::vector<std::vector<std::string>> manifests = {
        {"manifest", "sequences", "segments", "grid", "dtype", "model"}};
    for (std::size_t i = 0; i < findings.manifests.size(); ++i) {
        io::Manifest const& manifest = findings.manifests[i];
        io::GridInfo const& grid = manifest.grid;
        manifests.push_back({io::manifest_name(manifest.id), report::grouped(findings.sequences[i]),
                             report::grouped(static_cast<std::int64_t>(manifest.segments.size())),
                             fmt::format("{}x{}x{}x{}", grid.replicas, grid.spp, grid.kvp, grid.tp),
                             manifest.identity.dtype, manifest.identity.model_name});
    }
    std::vector<std::vector<std::string>> jobs = {
        {"job", "in the cache", "of prompt", "generated", "end", "manifest"}};
    for (auto const& [id, job] : findings.jobs) {
        jobs.push_back({id, report::grouped(job.sequence.position),
                        report::grouped(job.sequence.prompt_tokens),
                        report::grouped(static_cast<std::int64_t>(job.sequence.generated.size())),
                        end_name(job.sequence.end), io::manifest_name(job.from)});
    }
    if (manifests.size() > 1) out << '\n' << report::aligned(manifests) << '\n';
    if (jobs.size() > 1) out << report::aligned(jobs) << '\n';
    if (asked.verify) {
        out << fmt::format("verified: {} segments, {}\n", findings.segments.size(),
                           report::short_bytes(findings.verified_bytes));
    }
    if (findings.problems.empty()) {
        out << "nothing wrong\n";
        return;
    }
    out << fmt::format("{} problem{}:\n", findings.problems.size(),
                       findings.problems.size() == 1 ? "" : "s");
    for (std::string const& problem : findings.problems) out << "  " << problem << '\n';
    out << "a resumed run computes what is damaged again\n";
}

}  // namespace

int inspect_checkpoint(KvInspection const& asked, std::ostream& out) {
    Findings const findings = look_through(asked);
    asked.json ? print_json(asked, findings, out) : print_table(asked, findings, out);
    return findings.problems.empty() ? 0 : 1;
}

}  // namespace longhaul::app
