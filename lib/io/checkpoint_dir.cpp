#include "io/checkpoint_dir.hpp"

#include "base/error.hpp"
#include "base/log.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <fstream>
#include <sstream>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>

namespace longhaul::io {
namespace {

constexpr int kCopies = 2;  // manifests in which a sequence stays, so that one may be damaged
// A run that ends closes OUTPUT's lock, which its successor waits for, an instant before this one.
constexpr auto kLockPatience = std::chrono::seconds(1);
constexpr std::int64_t kMostRuns = 1'000'000'000'000;

std::string read_small_file(std::filesystem::path const& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

std::string this_process() {
    std::array<char, 256> host{};
    bool const known = ::gethostname(host.data(), host.size() - 1) == 0;
    return fmt::format("process {} on {}", ::getpid(), known ? host.data() : "unknown host");
}

// Whether a path still leads to an open file: the former owner of a lock may have removed it since.
bool leads_to(std::filesystem::path const& path, int descriptor) {
    struct stat named {};
    struct stat open {};
    return ::stat(path.c_str(), &named) == 0 && ::fstat(descriptor, &open) == 0 &&
           named.st_dev == open.st_dev && named.st_ino == open.st_ino;
}

}  // namespace

CheckpointDir::CheckpointDir(std::filesystem::path folder, RunIdentity identity, OldCheckpoint old,
                             FolderChanges& changes)
    : folder_(std::move(folder)), identity_(std::move(identity)), changes_(changes) {
    std::error_code error;
    std::filesystem::create_directories(segments_folder(folder_), error);
    std::error_code ignored;
    LH_VALIDATE(std::filesystem::is_directory(segments_folder(folder_), ignored),
                "cannot make the checkpoint folder {}: {}; choose another --checkpoint folder or "
                "switch checkpoints off with --checkpoint-every off",
                segments_folder(folder_).string(),
                error ? error.message() : "a file of that name is in the way");
    take_lock();
    if (old == OldCheckpoint::discard) discard_all();
    CheckpointScan scan = scan_checkpoint(folder_, identity_);
    saved_ = std::move(scan.loaded);
    manifests_ = std::move(scan.manifests);
    damaged_ = std::move(scan.damaged);
    segments_.insert(scan.files.segments.begin(), scan.files.segments.end());
    highest_run_ = std::max(highest_run_, scan.files.highest_run());
}

void CheckpointDir::take_lock() {
    auto const path = folder_ / "lock";
    auto const patient_until = std::chrono::steady_clock::now() + kLockPatience;
    do {
        lock_ = FileDescriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
        LH_VALIDATE(
            lock_.valid(),
            "cannot write into the checkpoint folder {}: {}; give write permission or choose "
            "another --checkpoint folder",
            folder_.string(), errno_text(errno));
        while (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
            LH_VALIDATE(errno == EWOULDBLOCK || errno == EINTR,
                        "cannot lock {}: {}; its file system may lack locks: choose a --checkpoint "
                        "folder on another one",
                        path.string(), errno_text(errno));
            LH_VALIDATE(std::chrono::steady_clock::now() < patient_until,
                        "the checkpoint folder {} is in use by another run ({}); give each run its "
                        "own --checkpoint folder",
                        folder_.string(), read_small_file(path));
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
    } while (!leads_to(path, lock_.get()));
    // Only for the message above: on a full disk the run goes on.
    if (::ftruncate(lock_.get(), 0) == 0) {
        static_cast<void>(write_all(lock_.get(), this_process()));
    }
}

void CheckpointDir::discard_all() {
    CheckpointFiles const files = list_checkpoint(folder_);
    highest_run_ = files.highest_run();
    // From the oldest on: what a crash leaves is an older folder of the same run, never a mixture.
    for (auto id = files.manifests.rbegin(); id != files.manifests.rend(); ++id) {
        auto const path = folder_ / manifest_name(*id);
        if (int const error = changes_.remove(path)) throw_io_error(path, "remove", error);
    }
    if (!files.manifests.empty()) changes_.sync(folder_);
    remove_file(folder_ / kKvMasterName);
    for (std::string const& name : files.segments) remove_file(segments_folder(folder_) / name);
    for (auto const& path : files.temporaries) remove_file(path);
}

std::int64_t CheckpointDir::last_run_number() const {
    auto const path = folder_ / "runs";
    std::string const text = read_small_file(path);
    std::int64_t number = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    bool const good =
        error == std::errc() && std::string_view(end) == "\n" && number > 0 && number < kMostRuns;
    if (!good && !text.empty()) {
        log::warn("{} is damaged; runs are counted on from the names of the files beside it",
                  path.string());
    }
    return std::max(good ? number : 0, highest_run_);
}

std::int64_t CheckpointDir::start_run() {
    LH_EXPECT(run_ == 0);
    std::int64_t const number = last_run_number() + 1;
    changes_.write(folder_ / "runs", fmt::format("{}\n", number));
    run_ = number;
    for (auto const& path : list_checkpoint(folder_).temporaries) remove_file(path);
    // A damaged manifest may be put right from a copy while nothing younger exists: its segments stay until then.
    if (damaged_.empty()) collect_garbage();
    // Any replica may come to need what any rank can load: what is there now stays as long as this run.
    kept_for_readers_ = segments_;
    return run_;
}

void CheckpointDir::commit(Manifest const& manifest, std::span<std::string const> dropped) {
    EpochId const& id = manifest.id;
    LH_EXPECT(run_ > 0 && id.run == run_ && manifest.identity == identity_);
    for (ManifestOutline const& older : manifests_) {
        LH_EXPECT(older.id.run < run_ || older.id.replica != id.replica ||
                  older.id.epoch < id.epoch);
    }
    write_manifest(folder_ / manifest_name(id), serialize_manifest(manifest));
    auto const place = std::find_if(manifests_.begin(), manifests_.end(),
                                    [&](ManifestOutline const& other) { return other.id < id; });
    manifests_.insert(place, outline_of(manifest));
    for (KvSegmentInfo const& segment : manifest.segments) segments_.insert(segment.name);
    segments_.insert(dropped.begin(), dropped.end());
    settle_results(id.replica);
    collect_garbage();
}

void CheckpointDir::result_written(std::string const& job_id, std::optional<std::int64_t> replica) {
    with_result_.insert(job_id);
    if (replica) {
        unsettled_[*replica].none.push_back(job_id);
    } else {
        settled_.insert(job_id);
    }
}

void CheckpointDir::settle_results(std::int64_t replica) {
    auto& [none, one] = unsettled_[replica];
    settled_.insert(one.begin(), one.end());
    one = std::exchange(none, {});
}

void CheckpointDir::write_manifest(std::filesystem::path const& path, std::string const& text) {
    try {
        changes_.write(path, text);
    } catch (IoError const&) {
        // Where only making the name durable failed: a manifest that garbage collection does not know of must not stay.
        static_cast<void>(changes_.remove(path));
        throw;
    }
}

std::vector<bool> CheckpointDir::kept_manifests() const {
    std::vector<bool> kept;
    std::unordered_map<std::string_view, int> copies;
    std::set<std::int64_t> replicas;
    for (ManifestOutline const& manifest : manifests_) {
        bool const ours = manifest.id.run == run_;
        bool keep = ours && replicas.insert(manifest.id.replica).second;
        auto const& ended = ours ? with_result_ : settled_;
        for (std::string const& job_id : manifest.job_ids) {
            if (++copies[job_id] <= kCopies && !ended.contains(job_id)) keep = true;
        }
        kept.push_back(keep);
    }
    return kept;
}

// Whether it is certain that what was removed cannot come back.
bool CheckpointDir::remove_manifests() {
    std::vector<bool> const kept = kept_manifests();
    bool changed = false;
    for (std::string const& name : damaged_) changed |= remove_file(folder_ / name);
    damaged_.clear();
    for (std::size_t i = manifests_.size(); i-- > 0;) {  // oldest first
        if (kept[i] || !remove_file(folder_ / manifest_name(manifests_[i].id))) continue;
        changed = true;
        manifests_.erase(manifests_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (!changed) return true;
    try {
        changes_.sync(folder_);
        return true;
    } catch (IoError const& error) {
        log::warn("{}; segments that are no longer needed stay for now", error.what());
        return false;
    }
}

void CheckpointDir::remove_segments() {
    std::unordered_set<std::string_view> named;
    for (ManifestOutline const& manifest : manifests_) {
        named.insert(manifest.segments.begin(), manifest.segments.end());
    }
    std::erase_if(segments_, [&](std::string const& name) {
        return !named.contains(name) && !kept_for_readers_.contains(name) &&
               remove_file(segments_folder(folder_) / name);
    });
}

void CheckpointDir::collect_garbage() {
    if (remove_manifests()) remove_segments();
}

// Garbage that cannot be removed costs room and nothing else: said once.
bool CheckpointDir::remove_file(std::filesystem::path const& path) {
    int const error = changes_.remove(path);
    if (error != 0 && !warned_) {
        warned_ = true;
        log::warn(
            "cannot remove {}: {}; checkpoints go on, but files that are no longer needed stay",
            path.string(), errno_text(error));
    }
    return error == 0;
}

std::int64_t CheckpointDir::finish_all() {
    std::set<std::string_view> lost;
    for (ManifestOutline const& manifest : manifests_) {
        for (std::string const& job_id : manifest.job_ids) {
            if (!with_result_.contains(job_id)) lost.insert(job_id);
        }
    }
    auto const count = static_cast<std::int64_t>(lost.size());
    discard_all();
    static_cast<void>(changes_.remove(segments_folder(folder_)));
    remove_file(folder_ / "runs");
    remove_file(folder_ / "lock");
    lock_ = FileDescriptor();
    static_cast<void>(changes_.remove(folder_));  // stays when someone else's files are in it
    return count;
}

}  // namespace longhaul::io
