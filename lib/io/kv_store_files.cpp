#include "io/kv_store_files.hpp"

#include "base/error.hpp"
#include "io/kv_store_publish.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>

namespace longhaul::io {
namespace {

constexpr std::string_view kFormat = "longhaul-kv-store 1\n";

// A folder with anything but the beginnings of a store is somebody's.
void refuse_other_contents(std::filesystem::path const& store) {
    constexpr std::array<std::string_view, 4> kOurs = {"format", "lock", "segments", "entries"};
    for (auto const& item : std::filesystem::directory_iterator(store)) {
        std::string const name = item.path().filename().string();
        bool const ours = std::find(kOurs.begin(), kOurs.end(), name) != kOurs.end() ||
                          (name.starts_with("format.") && name.ends_with(".tmp"));
        LH_VALIDATE(ours,
                    "{} is no KV store and not empty (it holds {}); choose an empty or new folder "
                    "for --kv-store",
                    store.string(), name);
    }
}

}  // namespace

std::filesystem::path kv_store_segments(std::filesystem::path const& store) {
    return store / "segments";
}

std::filesystem::path kv_store_entries(std::filesystem::path const& store) {
    return store / "entries";
}

std::filesystem::path kv_store_entry_path(std::filesystem::path const& store, std::string_view id) {
    return kv_store_entries(store) / fmt::format("{}.json", id);
}

void check_kv_store(std::filesystem::path const& store) {
    auto const text = read_whole_file(store / "format");
    if (int const* const error = std::get_if<int>(&text)) {
        LH_VALIDATE(false, "{} is no KV store: its file \"format\" cannot be read ({})",
                    store.string(), errno_text(*error));
    }
    LH_VALIDATE(
        std::get<std::string>(text) == kFormat,
        "{} is no KV store that this longhaul can use: its file \"format\" does not say "
        "'longhaul-kv-store 1'; use another --kv-store folder, or the longhaul that wrote it",
        store.string());
}

void make_kv_store(std::filesystem::path const& store) {
    try {
        std::filesystem::create_directories(store);
        std::error_code error;
        if (!std::filesystem::exists(store / "format", error)) {
            refuse_other_contents(store);
            std::filesystem::create_directories(kv_store_segments(store));
            std::filesystem::create_directories(kv_store_entries(store));
            publish_file(store / "format", kFormat);
            sync_folder(store);
        }
    } catch (std::filesystem::filesystem_error const& error) {
        LH_VALIDATE(false, "cannot make the KV store {}: {}; choose another --kv-store folder",
                    store.string(), error.code().message());
    } catch (IoError const& error) {
        // Where somebody else was faster, and pruning took our file for left behind, all is well.
        std::error_code ignored;
        LH_VALIDATE(std::filesystem::exists(store / "format", ignored),
                    "cannot make the KV store {}: {}", store.string(), error.what());
    }
    check_kv_store(store);
    for (auto const& folder : {kv_store_segments(store), kv_store_entries(store)}) {
        LH_VALIDATE(::access(folder.c_str(), W_OK | X_OK) == 0,
                    "cannot write into {}: {}; give write permission or choose another --kv-store "
                    "folder",
                    folder.string(), errno_text(errno));
    }
}

KvStoreLock::KvStoreLock(std::filesystem::path const& store, Kind kind, double patience_s)
    : file_(::open((store / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
    LH_VALIDATE(file_.valid(),
                "cannot open {}: {}; give write permission or choose another --kv-store folder",
                (store / "lock").string(), errno_text(errno));
    auto const until = std::chrono::steady_clock::now() + std::chrono::duration<double>(patience_s);
    int const operation = kind == Kind::shared ? LOCK_SH : LOCK_EX;
    while (::flock(file_.get(), operation | LOCK_NB) != 0) {
        LH_VALIDATE(errno == EWOULDBLOCK || errno == EINTR,
                    "cannot lock {}: {}; its file system may lack locks: choose a --kv-store "
                    "folder on another one",
                    (store / "lock").string(), errno_text(errno));
        LH_VALIDATE(std::chrono::steady_clock::now() < until,
                    "the KV store {} is being {}; try again when that has ended", store.string(),
                    kind == Kind::shared ? "pruned" : "added to or pruned by another process");
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

bool KvStoreLock::become_exclusive() { return ::flock(file_.get(), LOCK_EX | LOCK_NB) == 0; }

}  // namespace longhaul::io
