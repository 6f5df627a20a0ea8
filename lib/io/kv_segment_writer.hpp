#pragma once

#include "io/hdf5_image.hpp"
#include "io/kv_segment.hpp"
#include "io/kv_segment_layout.hpp"
#include "io/output_dir_files.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace longhaul::io {

/// Writes one KV segment: an HDF5 file with one rank's layers and KV heads of a set of blocks, written once.
///
///     /layer_00012/key, value   f32, or u16 with the bits of bf16 (attribute dtype) [kv_head, block, block_slots, dim]
///     /keys                     u64 [block, 2]              low and high half of the BlockKey
///     /block_numbers            i64 [block]                 number of the block in its sequence
///     /slots                    i32 [block]                 filled slots
///     /crc32c                   u32 [layer, 2, kv_head, block]   of one block's keys (values) of one head
///     attributes of /           format, format_version and the fields of KvSegmentShape
///
/// HDF5 draws the map of the file in memory; blocks go straight to their places in NAME.tmp, uncached and in any order, so
/// memory beyond the caller's stays at some MiB and HDF5's lock is not held while bytes are written. Equal content gives
/// equal bytes.
/// Errors      IoError (disk full, input/output error): nothing is left under either name
class KvSegmentWriter {
  public:
    /// Takes the blocks' descriptions up front: the file's layout and room depend on their number.
    KvSegmentWriter(std::filesystem::path path, KvSegmentShape shape,
                    std::vector<KvSegmentBlock> blocks);
    KvSegmentWriter(KvSegmentWriter const&) = delete;
    KvSegmentWriter& operator=(KvSegmentWriter const&) = delete;
    ~KvSegmentWriter();  ///< without finish() the unfinished file is removed

    /// Content of blocks first, first + 1, ... in canonical layout (io::block_bytes each). Every block exactly once; many
    /// at a time make long writes.
    void add(std::int64_t first, std::span<std::span<std::byte const> const> data);

    /// Waits until the disk has what was added so far. Not needed, but finish() has little left to wait for then.
    void sync();

    /// Ends the file: sync, rename to its final name, sync of the folder.
    KvSegmentInfo finish();

  private:
    void create_parts();
    void make_room();
    void write_piece(std::int64_t first, std::span<std::span<std::byte const> const> data,
                     std::int64_t layer, KvPart part, std::int64_t head, std::int64_t piece_offset);
    void write_tables();
    std::vector<Range> write_structure();

    std::filesystem::path path_;
    std::filesystem::path temporary_;
    KvSegmentShape shape_;
    std::vector<KvSegmentBlock> blocks_;
    Hdf5Image image_;
    std::array<detail::PartLayout, 2> layouts_;  // of keys and of values
    std::vector<std::int64_t> places_;  // [layer][part]: where each dataset of blocks begins
    std::vector<std::uint32_t> crcs_;   // [layer][part][kv_head][block]
    std::vector<bool> added_;
    FileDescriptor file_;
};

/// The whole of it: data[i] holds blocks[i].
KvSegmentInfo write_kv_segment(std::filesystem::path const& path, KvSegmentShape const& shape,
                               std::vector<KvSegmentBlock> blocks,
                               std::span<std::span<std::byte const> const> data);

}  // namespace longhaul::io
