#pragma once

#include "io/kv_segment.hpp"

#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace longhaul::io {

/// What the master shows of one segment.
struct KvMasterSegment {
    std::string file;  ///< relative to the master's folder
    KvSegmentShape shape;
    std::vector<KvSegmentBlock> blocks;
};

/// One sequence: its blocks in order.
struct KvMasterSequence {
    std::string name;
    std::vector<BlockKey> keys;
};

/// Writes a file of virtual datasets that shows the cache of all ranks as if it were one, for people with h5py or h5dump
/// (the program never reads it):
///
///     /NAME/layer_00012/key, value   [kv_head, block, block_slots, dim] of the whole model
///     attributes of /                format, format_version, model, dtype, block_slots, ...
///     attributes of /NAME            name, num_blocks, num_slots (filled ones), missing_blocks
///
/// NAME is the sequence's name with '/', '.' and '%' as %2F, %2E and %25. What no segment holds reads as zero, and so does
/// a segment whose file is gone: `missing_blocks` counts the blocks that some layer or head of the given segments lacks.
/// Errors      ValidationError when the segments are not of one model; IoError
void write_kv_master(std::filesystem::path const& path, std::span<KvMasterSegment const> segments,
                     std::span<KvMasterSequence const> sequences);

}  // namespace longhaul::io
