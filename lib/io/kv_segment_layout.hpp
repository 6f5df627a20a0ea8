#pragma once

#include "io/hdf5.hpp"
#include "io/kv_segment.hpp"

#include <cstdint>
#include <string>
#include <vector>

// Stays inside lib/io: how a segment lies in its file.
namespace longhaul::io::detail {

constexpr std::int64_t kSegmentVersion = 1;
constexpr char const* kSegmentFormat = "longhaul-kv-segment";

/// All datasets of keys (or of values) have the same form: [kv_head][block][block_slots][dim] in chunks of whole blocks of
/// one head. Chunks follow each other, so a head's blocks do too: a row is one head's chunks, the last one padded.
struct PartLayout {
    std::int64_t block_bytes = 0;  ///< one block of one head
    std::int64_t row_bytes = 0;    ///< one head with its padding
    std::vector<std::int64_t> dims;
    std::vector<std::int64_t> chunk;

    [[nodiscard]] std::int64_t bytes() const { return dims[0] * row_bytes; }
    /// Distance of a block of a head from the dataset's begin.
    [[nodiscard]] std::int64_t offset(std::int64_t head, std::int64_t index) const {
        return head * row_bytes + index * block_bytes;
    }
};

/// Layout for a number of blocks, in chunks of `chunk_blocks` (0: chosen here).
[[nodiscard]] PartLayout part_layout(KvSegmentShape const& shape, KvPart part,
                                     std::int64_t num_blocks, std::int64_t chunk_blocks = 0);

/// Blocks a chunk: 1 to 4 MiB where the segment is large enough, and little padding at the end of a row.
[[nodiscard]] std::int64_t choose_chunk_blocks(std::int64_t block_bytes, std::int64_t num_blocks);

/// Parts that are stored: values may be part of the keys.
[[nodiscard]] std::vector<KvPart> stored_parts(KvSegmentShape const& shape);

[[nodiscard]] std::string layer_name(std::int64_t layer);  ///< "layer_00012"
[[nodiscard]] std::string part_name(KvPart part);          ///< "key"
[[nodiscard]] Hdf5Type element_type(DType dtype);          ///< bf16 is stored as its bits

}  // namespace longhaul::io::detail
