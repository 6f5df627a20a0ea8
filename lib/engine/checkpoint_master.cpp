#include "engine/checkpoint_master.hpp"

#include "base/error.hpp"
#include "base/log.hpp"
#include "io/checkpoint_load.hpp"
#include "io/checkpoint_names.hpp"
#include "io/kv_segment_reader.hpp"
#include "io/output_dir_files.hpp"

#include <stdexcept>

namespace longhaul::engine {

void write_checkpoint_master(std::filesystem::path const& checkpoint,
                             std::vector<io::KvSegmentInfo> const& segments,
                             std::vector<io::KvMasterSequence> const& sequences) {
    if (segments.empty()) {
        return;
    }
    std::filesystem::path const folder = io::segments_folder(checkpoint);
    try {
        std::vector<io::KvMasterSegment> shown;
        for (io::KvSegmentInfo const& segment : segments) {
            io::KvSegmentReader const reader(folder / segment.name);
            shown.push_back(
                {(folder.filename() / segment.name).string(), reader.shape(), reader.blocks()});
        }
        io::write_kv_master(checkpoint / io::kKvMasterName, shown, sequences);
    } catch (std::runtime_error const& error) {
        log::warn("{}; the checkpoint is whole all the same, only {} is missing", error.what(),
                  (checkpoint / io::kKvMasterName).string());
    }
}

}  // namespace longhaul::engine
