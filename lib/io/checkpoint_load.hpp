#pragma once

#include "io/checkpoint_names.hpp"
#include "io/kv_segment_info.hpp"
#include "io/manifest.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace longhaul::io {

/// A saved sequence with the manifest it comes from.
struct LoadedSequence {
    SavedSequence sequence;
    EpochId from;
    std::string options;  ///< of that manifest
    GridInfo grid;
};

/// What a checkpoint folder holds.
struct LoadedCheckpoint {
    std::map<std::string, LoadedSequence>
        sequences;  ///< by job id; of the youngest manifest that has it
    std::vector<KvSegmentInfo>
        segments;  ///< of all whole manifests, by name; those that are there in full size
    std::vector<std::string>
        problems;  ///< damage and what it means, one sentence each; for the log
};

/// The folder of the segments of a checkpoint.
[[nodiscard]] std::filesystem::path segments_folder(std::filesystem::path const& checkpoint);

/// Reads a checkpoint folder and changes nothing; one that does not exist is empty. Any rank may call it, also while world
/// rank 0 collects garbage. Contents of segments are not looked at: their readers verify every block.
/// Errors      ValidationError when the folder is of another model, dtype, template or format
[[nodiscard]] LoadedCheckpoint load_checkpoint(std::filesystem::path const& folder,
                                               RunIdentity const& identity);

/// A warning when the file system of `folder` has no room for so many more bytes; nothing when it has, or does not say.
[[nodiscard]] std::optional<std::string> warn_if_no_room(std::filesystem::path const& folder,
                                                         std::int64_t bytes);

}  // namespace longhaul::io
