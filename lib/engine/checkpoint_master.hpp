#pragma once

#include "io/kv_master.hpp"
#include "io/kv_segment_info.hpp"

#include <filesystem>
#include <vector>

namespace longhaul::engine {

/// Writes CHECKPOINT/kv.h5, which shows h5py and h5dump the cache of a run that was stopped as if it lay in one file: for
/// people, the program never reads it. What goes wrong is a warning.
void write_checkpoint_master(std::filesystem::path const& checkpoint,
                             std::vector<io::KvSegmentInfo> const& segments,
                             std::vector<io::KvMasterSequence> const& sequences);

}  // namespace longhaul::engine
