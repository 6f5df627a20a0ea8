#include "engine/segment_compactor.hpp"

#include "base/log.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace longhaul::engine {
namespace {

constexpr std::int64_t kLongestPause = 64;

}  // namespace

SegmentCompactor::SegmentCompactor(std::filesystem::path folder, io::KvSegmentShape shape,
                                   SegmentLedger& ledger, std::function<std::string()> new_name)
    : ledger_(ledger),
      new_name_(std::move(new_name)),
      thread_(
          [this, folder = std::move(folder), shape = std::move(shape)](CompactTask const& task) {
              return compact_segments(folder, shape, task, stopped_);
          }) {}

SegmentCompactor::~SegmentCompactor() { stop(); }

void SegmentCompactor::advance(bool may_begin) {
    while (std::optional<CompactDone> const done = thread_.poll()) {
        take(*done);
    }
    if (!may_begin || stopped_ || pause_ > 0 || thread_.num_pending() > 0) {
        return;
    }
    if (std::optional<SegmentMerge> merge = ledger_.begin_merge()) {
        thread_.submit(
            {new_name_(), std::move(merge->sources), std::move(merge->keys), merge->one_document});
    }
}

void SegmentCompactor::take(CompactDone const& done) {
    if (done.stopped) {
        ledger_.give_up_merge(std::nullopt);
        return;
    }
    if (done.failure.empty()) {
        bytes_written_ += done.info.bytes;
        next_pause_ = 1;
        ledger_.end_merge(done.info);
        return;
    }
    log::warn("{}; segments of the checkpoint are not merged for now", done.failure);
    pause_ = next_pause_;
    next_pause_ = std::min(2 * next_pause_, kLongestPause);
    ledger_.give_up_merge(done.damaged);
}

void SegmentCompactor::epoch_begun() {
    if (pause_ > 0) {
        --pause_;
    }
}

}  // namespace longhaul::engine
