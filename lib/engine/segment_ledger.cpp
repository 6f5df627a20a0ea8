#include "engine/segment_ledger.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace longhaul::engine {
namespace {

/// So many nearly empty old segments are given up together.
constexpr std::size_t kMaxSmallOld = 8;

}  // namespace

bool SegmentLedger::contains(std::vector<Number> const& numbers, Number number) {
    return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
}

SegmentLedger::Number SegmentLedger::open(std::string name, BlockKey const& group) {
    Segment& segment = segments_.emplace_back();
    segment.info.name = std::move(name);
    segment.group = group;
    segment.own = true;
    return checked_cast<Number>(segments_.size() - 1);
}

SegmentLedger::Number SegmentLedger::old(io::KvSegmentInfo const& info) {
    auto const [found, is_new] =
        old_.try_emplace(info.name, checked_cast<Number>(segments_.size()));
    if (is_new) {
        Segment& segment = segments_.emplace_back();
        segment.info = info;
        segment.written = true;
    }
    return found->second;
}

std::string const& SegmentLedger::name(Number segment) const { return at(segment).info.name; }

void SegmentLedger::put(BlockKey const& key, std::vector<Number> segments) {
    LH_EXPECT(!segments.empty() && (segments.size() == 1 || !at(segments.front()).own));
    blocks_[key] = {std::move(segments), true};
}

void SegmentLedger::written(Number segment, io::KvSegmentInfo const& info) {
    at(segment).info = info;
    at(segment).written = true;
    changed_ = true;
}

void SegmentLedger::failed(Number segment, std::string const& why) {
    at(segment).written = true;
    std::erase_if(blocks_,
                  [&](auto const& entry) { return contains(entry.second.segments, segment); });
    for (Epoch& epoch : epochs_) {
        if (contains(epoch.segments, segment) && epoch.failure.empty()) {
            epoch.failure = why;
        }
    }
}

void SegmentLedger::count_anew() {
    for (Segment& segment : segments_) {
        segment.needed = 0;
    }
    for (auto& [key, place] : blocks_) {
        place.needed = false;
    }
}

void SegmentLedger::need(BlockKey const& key) {
    auto const found = blocks_.find(key);
    if (found == blocks_.end()) {
        return;
    }
    found->second.needed = true;
    for (Number const segment : found->second.segments) {
        ++at(segment).needed;
    }
}

void SegmentLedger::give_up_small_old(std::int64_t blocks) {
    std::set<Number> small;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
        Segment const& segment = segments_[i];
        if (!segment.own && segment.needed > 0 && segment.needed < blocks) {
            small.insert(checked_cast<Number>(i));
        }
    }
    if (small.size() < kMaxSmallOld) {
        return;
    }
    std::erase_if(blocks_, [&](auto const& entry) {
        return std::any_of(entry.second.segments.begin(), entry.second.segments.end(),
                           [&](Number segment) { return small.contains(segment); });
    });
}

void SegmentLedger::begin_epoch(StepIndex step) {
    // Blocks in segments that no later manifest will name have to be saved again where they are needed again. Of own
    // segments only what is needed is known from here on: nothing else is copied when they are merged.
    std::erase_if(blocks_, [this](auto const& entry) {
        Place const& place = entry.second;
        if (at(place.segments.front()).own) {
            return !place.needed;
        }
        return std::any_of(place.segments.begin(), place.segments.end(),
                           [this](Number segment) { return at(segment).needed == 0; });
    });
    Epoch& epoch = epochs_.emplace_back();
    epoch.step = step;
    epoch.number = ++num_epochs_;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
        Segment& segment = segments_[i];
        // A file that is being read must not go.
        if (segment.needed > 0 || segment.merging) {
            epoch.segments.push_back(checked_cast<Number>(i));
        } else if (segment.own && !segment.dropped) {
            segment.dropped = true;
            epoch.dropped.push_back(checked_cast<Number>(i));
        }
    }
    changed_ = true;
}

std::int64_t SegmentLedger::num_own(Epoch const& epoch) const {
    return std::count_if(epoch.segments.begin(), epoch.segments.end(),
                         [this](Number segment) { return at(segment).own; });
}

std::optional<EpochReport> SegmentLedger::take_epoch(bool merging) {
    if (epochs_.empty() || (merging && num_own(epochs_.front()) > kMostNamed)) {
        return std::nullopt;
    }
    Epoch const& epoch = epochs_.front();
    auto const is_written = [this](Number segment) { return at(segment).written; };
    if (!std::all_of(epoch.segments.begin(), epoch.segments.end(), is_written) ||
        !std::all_of(epoch.dropped.begin(), epoch.dropped.end(), is_written)) {
        return std::nullopt;
    }
    EpochReport report;
    report.epoch = epoch.step;
    report.failure = epoch.failure;
    for (Number const segment : epoch.segments) {
        report.segments.push_back(at(segment).info);
    }
    for (Number const segment : epoch.dropped) {
        report.dropped.push_back(at(segment).info.name);
    }
    epochs_.pop_front();
    return report;
}

}  // namespace longhaul::engine
