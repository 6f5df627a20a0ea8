#pragma once

#include "io/kv_store_entry.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace longhaul::io {

/// Everything that a store's entries say, of all models.
struct KvStoreScan {
    std::vector<StoredKvEntry> entries;  ///< least recently used first
    std::vector<std::string> problems;   ///< entries that cannot be used, one sentence each
    std::vector<std::filesystem::path>
        damaged;        ///< their files, where they are not of another version or out of reach
    bool whole = true;  ///< false: some entry is not understood, so nobody knows what it names
};

/// Reads all entries; those that others remove meanwhile are left out. Takes no lock and changes nothing.
/// Errors      ValidationError: no store, or the folder cannot be listed
[[nodiscard]] KvStoreScan scan_kv_store(std::filesystem::path const& store);

/// One entry. Nothing when there is none.
/// Errors      DamagedManifest, ForeignKvEntry; IoError when it cannot be read
[[nodiscard]] std::optional<StoredKvEntry> read_kv_entry(std::filesystem::path const& store,
                                                         std::string const& id);

/// What is wrong with the files of an entry's segments as far as their sizes show; of the first such segment.
[[nodiscard]] std::string kv_entry_problem(std::filesystem::path const& store,
                                           StoredKvEntry const& entry);

/// The same of a scan's entry that others may have removed or replaced since: it is read again then. Nothing when it is
/// gone, which is no problem.
[[nodiscard]] std::optional<std::string> lasting_kv_entry_problem(
    std::filesystem::path const& store, StoredKvEntry& entry);

/// File names in a folder of the store, sorted.
/// Errors      ValidationError
[[nodiscard]] std::vector<std::string> names_in_store(std::filesystem::path const& folder);

}  // namespace longhaul::io
