#pragma once

#include "io/kv_store_files.hpp"
#include "io/kv_store_prune.hpp"
#include "io/kv_store_verify.hpp"
#include "support/kv/store_case.hpp"
#include "unit/io/queue/scratch_folder.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <cerrno>
#include <filesystem>
#include <set>
#include <string>

namespace longhaul::io {

/// File names in a folder of a store, without the folder.
inline std::set<std::string> names(std::filesystem::path const& folder) {
    std::set<std::string> found;
    for (auto const& item : std::filesystem::directory_iterator(folder)) {
        found.insert(item.path().filename().string());
    }
    return found;
}

inline ino_t inode(std::filesystem::path const& path) {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_ino;
}

/// In place of ::link: as between two file systems.
inline int no_links(char const*, char const*) {
    errno = EXDEV;
    return -1;
}

/// Sets the time of last use.
inline void used_before(KvStore const& store, std::string const& id, std::chrono::seconds ago) {
    std::filesystem::last_write_time(kv_store_entry_path(store.folder(), id),
                                     std::filesystem::file_time_type::clock::now() - ago);
}

inline std::string id_of(KvStore const& store, KvStoreEntry const& entry) {
    return kv_entry_id(store.identity(), entry.keys.back());
}

}  // namespace longhaul::io
