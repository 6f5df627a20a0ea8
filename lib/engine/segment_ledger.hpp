#pragma once

#include "base/block_key.hpp"
#include "io/kv_segment_info.hpp"
#include "engine/checkpoint_reports.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace longhaul::engine {

/// Segments of one group that are to be merged, and what is still needed of them.
struct SegmentMerge {
    std::vector<io::KvSegmentInfo> sources;
    std::vector<BlockKey> keys;
    bool one_document = false;
};

/// Book-keeping of one rank's segments: which blocks they hold, which of these are needed, what an epoch names, and which
/// segments had better be one. Knows no files and no threads.
///
/// Segments written by this object's owner ("own") belong to a group: a long document has one of its own, so that its
/// segments hold nothing else, all the rest share kCommon. Segments of earlier runs ("old") are named while they are needed.
class SegmentLedger {
  public:
    using Number = std::int32_t;

    static constexpr BlockKey kCommon{};
    /// An epoch is held back while it names more own segments and they are being merged.
    static constexpr std::int64_t kMostNamed = 16;

    /// A segment that is going to be written.
    Number open(std::string name, BlockKey const& group);
    /// The number of a segment of an earlier run.
    Number old(io::KvSegmentInfo const& info);
    [[nodiscard]] std::string const& name(Number segment) const;

    /// Whether a block need not be saved.
    [[nodiscard]] bool holds(BlockKey const& key) const { return blocks_.contains(key); }
    /// A block is in these segments, and only all of them together have all of it: one of its own or some old ones.
    void put(BlockKey const& key, std::vector<Number> segments);

    void written(Number segment, io::KvSegmentInfo const& info);
    /// It does not exist: its blocks are not saved, and epochs that name it have failed.
    void failed(Number segment, std::string const& why);

    /// Before an epoch: need() is called for every block that somebody stands on, from here on.
    void count_anew();
    void need(BlockKey const& key);
    /// Old segments with fewer needed blocks than `blocks` are given up when there are eight: their blocks, all of them in the
    /// cache, count as not saved.
    void give_up_small_old(std::int64_t blocks);
    /// What is needed is named, the rest is forgotten.
    void begin_epoch(StepIndex step);
    [[nodiscard]] bool epoch_pending() const { return !epochs_.empty(); }
    /// The report of the oldest epoch when all that it names is written. `merging`: more is being merged.
    [[nodiscard]] std::optional<EpochReport> take_epoch(bool merging);

    /// Segments to merge, when there are too many. One merge at a time; its sources stay named until it ends.
    [[nodiscard]] std::optional<SegmentMerge> begin_merge();
    /// The merged segment; the blocks are there from now on, and epochs that were not reported name it instead.
    void end_merge(io::KvSegmentInfo const& info);
    /// There is none. `damaged`: this one of the sources is never tried again.
    void give_up_merge(std::optional<std::size_t> damaged);

  private:
    struct Segment {
        io::KvSegmentInfo info;
        BlockKey group;
        std::int64_t needed = 0;  // blocks, as of the last epoch
        bool own = false;
        bool written = false;
        bool dropped = false;  // nothing needs it, and that was reported
        bool merging = false;
        bool damaged = false;
    };
    struct Place {
        std::vector<Number> segments;
        bool needed = true;
    };
    struct Epoch {
        StepIndex step = 0;
        std::int64_t number = 0;
        std::vector<Number> segments;
        std::vector<Number> dropped;
        std::string failure;
    };
    struct Merge {
        std::vector<Number> sources;
        std::vector<BlockKey> keys;
        BlockKey group;
        std::int64_t epoch = 0;  // the last one that was begun before
    };

    [[nodiscard]] Segment& at(Number segment) {
        return segments_[static_cast<std::size_t>(segment)];
    }
    [[nodiscard]] Segment const& at(Number segment) const {
        return segments_[static_cast<std::size_t>(segment)];
    }
    [[nodiscard]] static bool contains(std::vector<Number> const& numbers, Number number);
    [[nodiscard]] std::vector<Number> choose_sources();
    [[nodiscard]] std::vector<std::int64_t> blocks_held() const;
    [[nodiscard]] std::int64_t num_own(Epoch const& epoch) const;

    std::vector<Segment> segments_;
    std::map<std::string, Number> old_;
    std::unordered_map<BlockKey, Place, BlockKeyHash> blocks_;
    std::deque<Epoch> epochs_;
    std::int64_t num_epochs_ = 0;
    std::optional<Merge> merge_;
    bool changed_ = false;  // since begin_merge() found nothing to do
};

}  // namespace longhaul::engine
