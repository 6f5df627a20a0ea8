#pragma once

#include "io/checkpoint_load.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace longhaul::io {

/// What garbage collection has to know of a manifest.
struct ManifestOutline {
    EpochId id;
    std::vector<std::string> job_ids;
    std::vector<std::string> segments;
};
[[nodiscard]] ManifestOutline outline_of(Manifest const& manifest);

/// Names of the files in a checkpoint folder, by what they are; those that are not ours are left out.
struct CheckpointFiles {
    std::vector<EpochId> manifests;  ///< youngest first
    std::vector<std::string> segments;
    std::vector<std::filesystem::path> temporaries;  ///< half-written files

    /// 0 when there are none.
    [[nodiscard]] std::int64_t highest_run() const;
};
[[nodiscard]] CheckpointFiles list_checkpoint(std::filesystem::path const& folder);

struct CheckpointScan {
    LoadedCheckpoint loaded;
    std::vector<ManifestOutline> manifests;  ///< the whole ones, youngest first
    std::vector<std::string> damaged;  ///< names of manifests that were read and are not whole
    CheckpointFiles files;
};

/// load_checkpoint() with what the owner of the folder needs besides.
[[nodiscard]] CheckpointScan scan_checkpoint(std::filesystem::path const& folder,
                                             RunIdentity const& identity);

}  // namespace longhaul::io
