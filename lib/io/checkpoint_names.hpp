#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

/// Names of the files in a checkpoint folder. Parsing accepts just what the other direction writes, so a name from a file
/// can never lead out of the folder.
namespace longhaul::io {

/// The file that shows all segments to h5py and h5dump, where one is written. No state: nothing reads it.
inline constexpr char const* kKvMasterName = "kv.h5";

/// Which state a manifest holds. Ordered by age: a later run is younger than any epoch of an earlier one.
struct EpochId {
    std::int64_t run = 0;  ///< counts the starts on this folder, from 1
    std::int64_t epoch = 0;
    std::int64_t replica = 0;

    friend bool operator==(EpochId const&, EpochId const&) = default;
    friend bool operator<(EpochId const& a, EpochId const& b) {
        return std::tie(a.run, a.epoch, a.replica) < std::tie(b.run, b.epoch, b.replica);
    }
};

/// manifest-r<run>-p<replica>-e<epoch>.json
[[nodiscard]] std::string manifest_name(EpochId const& id);
[[nodiscard]] std::optional<EpochId> parse_manifest_name(std::string_view name);

/// Who wrote a segment: rank (stage, kvp, tp) of a replica in one run, its number-th.
struct SegmentId {
    std::int64_t run = 0;
    std::int64_t replica = 0;
    std::int64_t stage = 0;
    std::int64_t kvp = 0;
    std::int64_t tp = 0;
    std::int64_t number = 0;

    friend bool operator==(SegmentId const&, SegmentId const&) = default;
};

/// r<run>-p<replica>-s<stage>k<kvp>t<tp>-<number>.h5
[[nodiscard]] std::string segment_name(SegmentId const& id);
[[nodiscard]] std::optional<SegmentId> parse_segment_name(std::string_view name);

}  // namespace longhaul::io
