#pragma once

#include "base/bytes.hpp"
#include "base/types.hpp"
#include "io/kv_segment_info.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace longhaul::engine {

/// How lists of segments travel between ranks.
void put_segments(ByteWriter& out, std::vector<io::KvSegmentInfo> const& segments);
[[nodiscard]] std::vector<io::KvSegmentInfo> get_segments(ByteReader& in);
void put_names(ByteWriter& out, std::vector<std::string> const& names);
[[nodiscard]] std::vector<std::string> get_names(ByteReader& in);

/// What a rank tells its leader of an epoch: the segments that hold its part, all on the disk, or why there are none.
struct EpochReport {
    StepIndex epoch = -1;
    std::string failure;
    std::vector<io::KvSegmentInfo> segments;
    std::vector<std::string>
        dropped;  ///< segments that nothing needs any more and perhaps no manifest ever named
    std::int64_t bytes = 0;  ///< written since the run began
    double stalled_s = 0.0;  ///< steps waited for the disk, since the run began

    [[nodiscard]] std::vector<std::byte> serialize() const;
    static EpochReport deserialize(std::span<std::byte const> bytes);
};

/// What a rank tells its leader of a load: its blocks of the entries [0, entries) are in the cache.
struct LoadReport {
    SequenceId sequence = -1;
    std::int64_t entries = 0;
};

}  // namespace longhaul::engine
