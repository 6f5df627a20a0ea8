#pragma once

#include <cstdint>
#include <string>

namespace longhaul::io {

/// What a manifest says about one segment: a file of KV blocks, written once, in the folder "segments" of a checkpoint.
struct KvSegmentInfo {
    std::string name;  ///< file name without folders: segment_name() of checkpoint_names.hpp
    std::int64_t bytes = 0;
    std::int64_t blocks = 0;
    std::uint32_t checksum =
        0;  ///< over everything but the blocks' bytes, which have CRCs of their own

    friend bool operator==(KvSegmentInfo const&, KvSegmentInfo const&) = default;
};

}  // namespace longhaul::io
