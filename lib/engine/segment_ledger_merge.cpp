// The part of SegmentLedger that makes few segments of many.

#include "base/checked.hpp"
#include "base/error.hpp"
#include "engine/segment_ledger.hpp"

#include <algorithm>
#include <utility>

namespace longhaul::engine {
namespace {

/// More own segments than kMost are merged. The common group and each long document need one at least, and where each has but
/// one or two, nearly everything is copied for every new segment: so it is kMostOfGroup of each where there are many.
constexpr std::int64_t kMost = 12;
constexpr std::int64_t kMostOfGroup = 3;

/// Segments merged at once: files open at a time.
constexpr std::size_t kMaxSources = 64;

}  // namespace

// Of every segment, by number.
std::vector<std::int64_t> SegmentLedger::blocks_held() const {
    std::vector<std::int64_t> held(segments_.size());
    for (auto const& [key, place] : blocks_) {
        for (Number const segment : place.segments) {
            ++held[static_cast<std::size_t>(segment)];
        }
    }
    return held;
}

// The smallest of one group, the group whose two smallest are the smallest. As long as the next one is at most twice as large
// as all taken so far it is taken, too: so its blocks come to lie in a segment that is half as large again at least, and how
// often a block is copied grows about with the logarithm of the cache: three times for 200 segments of one document, four times
// for 1000, more where several documents grow at once.
std::vector<SegmentLedger::Number> SegmentLedger::choose_sources() {
    std::vector<std::int64_t> const held = blocks_held();
    std::unordered_map<BlockKey, std::vector<Number>, BlockKeyHash> groups;
    std::int64_t total = 0;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
        Segment const& segment = segments_[i];
        if (!segment.own || held[i] == 0) {
            continue;
        }
        ++total;
        std::vector<Number>& group = groups[segment.group];
        if (segment.written && !segment.damaged) {
            group.push_back(checked_cast<Number>(i));
        }
    }
    auto const num_groups = static_cast<std::int64_t>(groups.size());
    if (total <= std::max(kMost, kMostOfGroup * num_groups)) {
        return {};
    }
    auto const size = [&](Number segment) { return held[static_cast<std::size_t>(segment)]; };
    std::vector<Number> best;
    for (auto& [key, group] : groups) {
        std::stable_sort(group.begin(), group.end(),
                         [&](Number a, Number b) { return size(a) < size(b); });
        if (group.size() >= 2 &&
            (best.empty() || size(group[0]) + size(group[1]) < size(best[0]) + size(best[1]))) {
            best = group;
        }
    }
    if (best.empty()) {
        return {};
    }
    std::size_t count = 2;
    std::int64_t blocks = size(best[0]) + size(best[1]);
    while (count < std::min(best.size(), kMaxSources) && size(best[count]) <= 2 * blocks) {
        blocks += size(best[count++]);
    }
    best.resize(count);
    std::sort(best.begin(), best.end());
    return best;
}

std::optional<SegmentMerge> SegmentLedger::begin_merge() {
    LH_EXPECT(!merge_);
    if (!std::exchange(changed_, false)) {
        return std::nullopt;
    }
    std::vector<Number> const sources = choose_sources();
    if (sources.empty()) {
        return std::nullopt;
    }
    SegmentMerge merge;
    merge_ = {sources, {}, at(sources.front()).group, num_epochs_};
    merge.one_document = merge_->group != kCommon;
    for (Number const segment : sources) {
        at(segment).merging = true;
        merge.sources.push_back(at(segment).info);
    }
    for (auto const& [key, place] : blocks_) {
        if (at(place.segments.front()).merging) {
            merge.keys.push_back(key);
        }
    }
    merge_->keys = merge.keys;
    return merge;
}

void SegmentLedger::end_merge(io::KvSegmentInfo const& info) {
    LH_EXPECT(merge_);
    Merge const merge = *std::exchange(merge_, std::nullopt);
    Number const merged = open(info.name, merge.group);
    written(merged, info);
    for (BlockKey const& key : merge.keys) {
        // Not every block is still needed, or still there.
        auto const found = blocks_.find(key);
        if (found != blocks_.end() && contains(merge.sources, found->second.segments.front())) {
            found->second.segments = {merged};
        }
    }
    for (Number const segment : merge.sources) {
        at(segment).merging = false;
    }
    // An older epoch may need blocks that had been let go when the merge began.
    for (Epoch& epoch : epochs_) {
        if (epoch.number >= merge.epoch && std::erase_if(epoch.segments, [&](Number segment) {
                                               return contains(merge.sources, segment);
                                           }) > 0) {
            epoch.segments.push_back(merged);
        }
    }
}

void SegmentLedger::give_up_merge(std::optional<std::size_t> damaged) {
    LH_EXPECT(merge_);
    Merge const merge = *std::exchange(merge_, std::nullopt);
    for (Number const segment : merge.sources) {
        at(segment).merging = false;
    }
    if (damaged) {
        at(merge.sources.at(*damaged)).damaged = true;
    }
    changed_ = true;
}

}  // namespace longhaul::engine
