#include "io/checkpoint_scan.hpp"

#include "base/error.hpp"
#include "io/output_dir_files.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <functional>
#include <system_error>
#include <unordered_map>
#include <utility>

namespace longhaul::io {
namespace {

constexpr int kMostScans = 8;

/// A manifest vanished between listing and reading: world rank 0 has just written a younger one.
struct FolderChanged {};

void check_identity(std::filesystem::path const& folder, RunIdentity const& found,
                    RunIdentity const& now) {
    auto const check = [&](char const* what, std::string const& before, std::string const& wanted) {
        LH_VALIDATE(
            before == wanted,
            "the checkpoint in {} is of another {} ({}; now {}); run with the {} it was made "
            "with, or start afresh with --fresh or another --checkpoint folder",
            folder.string(), what, before, wanted, what);
    };
    if (found.model_fingerprint != now.model_fingerprint) {
        check("model", fmt::format("{} {}", found.model_name, found.model_fingerprint),
              fmt::format("{} {}", now.model_name, now.model_fingerprint));
    }
    check("dtype", found.dtype, now.dtype);
    check("chat template", found.template_fingerprint, now.template_fingerprint);
}

/// Takes manifests in, youngest first.
class Scanner {
  public:
    Scanner(std::filesystem::path const& folder, RunIdentity const& identity)
        : folder_(folder), identity_(identity) {}

    void take(EpochId const& id);
    [[nodiscard]] CheckpointScan finish();

  private:
    void take(Manifest manifest);
    void complain(std::string text) { scan_.loaded.problems.push_back(std::move(text)); }
    void check_segment(std::string const& manifest, KvSegmentInfo const& segment);

    std::filesystem::path const& folder_;
    RunIdentity const& identity_;
    CheckpointScan scan_;
    std::map<std::string, std::pair<KvSegmentInfo, std::string>> segments_;  // and who names it
};

void Scanner::take(EpochId const& id) {
    std::string const name = manifest_name(id);
    auto const content = read_whole_file(folder_ / name);
    if (int const* const error = std::get_if<int>(&content)) {
        if (*error == ENOENT) throw FolderChanged();
        complain(fmt::format("{} cannot be read ({}); what only it holds is computed again",
                             (folder_ / name).string(), errno_text(*error)));
        return;
    }
    try {
        Manifest manifest = parse_manifest(std::get<std::string>(content));
        if (manifest.id != id) {
            throw DamagedManifest("it is " + manifest_name(manifest.id) + " under another name");
        }
        take(std::move(manifest));
    } catch (DamagedManifest const& damage) {
        complain(fmt::format("{} is damaged: {}; what only it holds is computed again",
                             (folder_ / name).string(), damage.what()));
        scan_.damaged.push_back(name);
    }
}

void Scanner::take(Manifest manifest) {
    check_identity(folder_, manifest.identity, identity_);
    scan_.manifests.push_back(outline_of(manifest));
    std::string const name = manifest_name(manifest.id);
    for (KvSegmentInfo& segment : manifest.segments) {
        std::string key = segment.name;
        segments_.try_emplace(std::move(key), std::move(segment), name);
    }
    for (SavedSequence& sequence : manifest.sequences) {
        std::string key = sequence.job_id;
        scan_.loaded.sequences.try_emplace(
            std::move(key),
            LoadedSequence{std::move(sequence), manifest.id, manifest.options, manifest.grid});
    }
}

void Scanner::check_segment(std::string const& manifest, KvSegmentInfo const& segment) {
    auto const path = segments_folder(folder_) / segment.name;
    struct stat status {};
    std::string wrong;
    if (::stat(path.c_str(), &status) != 0) {
        wrong = errno == ENOENT ? "is missing" : "cannot be reached: " + errno_text(errno);
    } else if (!S_ISREG(status.st_mode)) {
        wrong = "is no regular file";
    } else if (status.st_size != segment.bytes) {
        wrong = fmt::format("has {} bytes instead of {}", status.st_size, segment.bytes);
    }
    if (wrong.empty()) {
        scan_.loaded.segments.push_back(segment);
    } else {
        complain(fmt::format("{}, which {} names, {}; its KV entries are computed again",
                             path.string(), manifest, wrong));
    }
}

CheckpointScan Scanner::finish() {
    for (auto const& [name, entry] : segments_) check_segment(entry.second, entry.first);
    return std::move(scan_);
}

void list_folder(std::filesystem::path const& folder,
                 std::function<void(std::filesystem::path const&)> const& each) {
    std::error_code error;
    std::filesystem::directory_iterator place(folder, error);
    for (; !error && place != std::filesystem::directory_iterator(); place.increment(error)) {
        each(place->path());
    }
    LH_VALIDATE(!error || error == std::errc::no_such_file_or_directory,
                "cannot list the checkpoint folder {}: {}; check its permissions or choose another "
                "--checkpoint folder",
                folder.string(), error.message());
}

}  // namespace

std::filesystem::path segments_folder(std::filesystem::path const& checkpoint) {
    return checkpoint / "segments";
}

ManifestOutline outline_of(Manifest const& manifest) {
    ManifestOutline outline{manifest.id, {}, {}};
    for (SavedSequence const& sequence : manifest.sequences) {
        outline.job_ids.push_back(sequence.job_id);
    }
    for (KvSegmentInfo const& segment : manifest.segments) outline.segments.push_back(segment.name);
    return outline;
}

std::int64_t CheckpointFiles::highest_run() const {
    std::int64_t highest = manifests.empty() ? 0 : manifests.front().run;
    for (std::string const& name : segments) {
        highest = std::max(highest, parse_segment_name(name)->run);
    }
    return highest;
}

CheckpointFiles list_checkpoint(std::filesystem::path const& folder) {
    CheckpointFiles files;
    list_folder(folder, [&](std::filesystem::path const& path) {
        if (auto const id = parse_manifest_name(path.filename().string())) {
            files.manifests.push_back(*id);
        } else if (path.extension() == ".tmp" &&
                   (parse_manifest_name(path.stem().string()) || path.stem() == "runs" ||
                    path.stem() == kKvMasterName)) {
            files.temporaries.push_back(path);
        }
    });
    list_folder(segments_folder(folder), [&](std::filesystem::path const& path) {
        if (parse_segment_name(path.filename().string())) {
            files.segments.push_back(path.filename().string());
        } else if (path.extension() == ".tmp" && parse_segment_name(path.stem().string())) {
            files.temporaries.push_back(path);
        }
    });
    std::sort(files.manifests.rbegin(), files.manifests.rend());
    return files;
}

CheckpointScan scan_checkpoint(std::filesystem::path const& folder, RunIdentity const& identity) {
    for (int scans = 1;; ++scans) {
        CheckpointFiles files = list_checkpoint(folder);
        Scanner scanner(folder, identity);
        try {
            for (EpochId const& id : files.manifests) scanner.take(id);
        } catch (FolderChanged const&) {
            LH_VALIDATE(
                scans < kMostScans,
                "the checkpoint folder {} changes while it is read; stop the other run that "
                "uses it or choose another --checkpoint folder",
                folder.string());
            continue;
        }
        CheckpointScan scan = scanner.finish();
        scan.files = std::move(files);
        return scan;
    }
}

LoadedCheckpoint load_checkpoint(std::filesystem::path const& folder, RunIdentity const& identity) {
    return scan_checkpoint(folder, identity).loaded;
}

std::optional<std::string> warn_if_no_room(std::filesystem::path const& folder,
                                           std::int64_t bytes) {
    struct statvfs status {};
    if (::statvfs(folder.c_str(), &status) != 0) return std::nullopt;
    auto const free_bytes =
        static_cast<double>(status.f_bavail) * static_cast<double>(status.f_frsize);
    if (static_cast<double>(bytes) <= free_bytes) return std::nullopt;
    constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
    return fmt::format(
        "no room for a checkpoint of {:.2f} GiB in {}: {:.2f} GiB are free; free some space or "
        "choose "
        "another --checkpoint folder",
        static_cast<double>(bytes) / kGiB, folder.string(), free_bytes / kGiB);
}

}  // namespace longhaul::io
