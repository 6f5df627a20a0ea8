#pragma once

#include "base/block_key.hpp"
#include "io/kv_segment_reader.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace longhaul::engine {

/// Finds blocks of earlier runs by their keys in the segments of a checkpoint, whatever grid wrote them: a block of this
/// rank's layers and KV heads may be put together from several segments. One per rank; one thread at a time.
class SegmentIndex {
  public:
    /// `wanted` says which layers and heads this rank needs, and of what model.
    explicit SegmentIndex(io::KvSegmentShape wanted);

    /// Takes in the tables of those segments in a folder that hold something this rank needs. A segment that cannot be read
    /// or is of another model is left out with a warning: its blocks are computed again. `nameable` says whether this
    /// run's manifests may name them.
    void add(std::filesystem::path const& folder, std::vector<io::KvSegmentInfo> const& segments,
             bool nameable);

    /// Whether every layer and head of the block is there, as far as the tables say.
    [[nodiscard]] bool contains(BlockKey const& key) const;

    /// Reads a block in canonical form ([layer][K, V][kv_head][block_slots][dim]) and verifies its checksums.
    /// Returns     what is wrong, or an empty text
    [[nodiscard]] std::string read(BlockKey const& key, std::span<std::byte> out);

    /// The segments by which a manifest can name a block; none when it was read from others, too.
    [[nodiscard]] std::vector<io::KvSegmentInfo> sources(BlockKey const& key) const;

    [[nodiscard]] bool empty() const { return blocks_.empty(); }

  private:
    struct Segment {
        std::filesystem::path path;
        io::KvSegmentInfo info;
        bool nameable = false;
        Range layers;
        Range kv_heads;
    };
    struct Place {
        std::int32_t segment = 0;
        std::int64_t row = 0;  // of the segment's table
    };

    void add_one(std::filesystem::path const& path, io::KvSegmentInfo const& info, bool nameable);
    [[nodiscard]] io::KvSegmentReader& reader(std::int32_t segment);
    [[nodiscard]] std::string read_head(Place const& place, std::int64_t layer, std::int64_t head,
                                        std::span<std::byte> out);

    io::KvSegmentShape wanted_;
    std::vector<Segment> segments_;
    std::unordered_map<BlockKey, std::vector<Place>, BlockKeyHash> blocks_;
    struct Open {
        std::int32_t segment;
        std::unique_ptr<io::KvSegmentReader> reader;
    };
    std::list<Open> open_;  // most recently used first
};

}  // namespace longhaul::engine
