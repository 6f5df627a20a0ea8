#pragma once

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

/// Reads a KV segment (kv_segment_writer.hpp). Opening checks everything but the blocks' bytes; those are checked as they
/// are read. Reads go past HDF5 and its lock, so threads may read side by side. Holds one file descriptor and the tables.
class KvSegmentReader {
  public:
    /// Errors      ValidationError naming the file and the damage
    explicit KvSegmentReader(std::filesystem::path path);

    [[nodiscard]] KvSegmentShape const& shape() const { return shape_; }
    [[nodiscard]] std::vector<KvSegmentBlock> const& blocks() const { return blocks_; }
    [[nodiscard]] KvSegmentInfo const& info() const { return info_; }

    /// Keys or values of one head of one layer (numbers of the model, inside the shape's ranges) of the block at `index`:
    /// head_block_bytes() into `out`. False when they are damaged or cannot be read; `out` is rubbish then.
    [[nodiscard]] bool read(std::int64_t index, std::int64_t layer, std::int64_t kv_head,
                            KvPart part, std::span<std::byte> out) const;

    /// The same of `count` consecutive blocks in one read, one after the other in `out`. Returns how many leading ones are
    /// sound; the rest of `out` is rubbish.
    [[nodiscard]] std::int64_t read_run(std::int64_t first, std::int64_t count, std::int64_t layer,
                                        std::int64_t kv_head, KvPart part,
                                        std::span<std::byte> out) const;

    /// A whole block in canonical layout, block_bytes() into `out`.
    [[nodiscard]] bool read_block(std::int64_t index, std::span<std::byte> out) const;

  private:
    void read_shape(Hdf5File const& file);
    void read_tables(Hdf5File const& file);
    void find_parts(Hdf5File const& file);
    [[nodiscard]] std::vector<std::byte> read_table(Hdf5File const& file, std::string const& name,
                                                    Hdf5Type type,
                                                    std::vector<std::int64_t> const& dims) const;
    void require(bool good, std::string const& what) const;

    std::filesystem::path path_;
    FileDescriptor file_;
    KvSegmentInfo info_;
    KvSegmentShape shape_;
    std::vector<KvSegmentBlock> blocks_;
    std::array<detail::PartLayout, 2> layouts_;  // of keys and of values
    std::vector<std::int64_t> places_;           // [layer][part]
    std::vector<std::uint32_t> crcs_;            // [layer][part][kv_head][block]
};

}  // namespace longhaul::io
