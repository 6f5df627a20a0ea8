#pragma once

#include "base/block_key.hpp"
#include "io/kv_segment.hpp"

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace longhaul::engine {

/// Several segments of one rank that are to become one.
struct CompactTask {
    std::string name;                        ///< of the new segment
    std::vector<io::KvSegmentInfo> sources;  ///< as they were written, oldest first
    std::vector<BlockKey> keys;              ///< blocks still needed; each is in one of the sources
    bool one_sequence = false;  ///< the blocks are of one document: they are put in its order
    std::int64_t batch_bytes = std::int64_t{32} << 20;  ///< copied at a time, one block at least
};

struct CompactDone {
    io::KvSegmentInfo info;              ///< of the new segment, when `failure` is empty
    std::string failure;                 ///< why there is none; nothing is left of it then
    std::optional<std::size_t> damaged;  ///< the source that is not as it was written
    bool stopped = false;                ///< asked to: no failure to speak of
};

/// Writes the needed blocks of some segments into a new one, from disk to disk. Every block's checksums are verified; memory
/// stays at a batch and the tables. The sources stay as they are.
///
/// Looks at `stop` before every batch; then nothing is left of the new segment. Errors of the disk and damage are answers.
[[nodiscard]] CompactDone compact_segments(std::filesystem::path const& folder,
                                           io::KvSegmentShape const& shape, CompactTask const& task,
                                           std::atomic<bool> const& stop);

}  // namespace longhaul::engine
