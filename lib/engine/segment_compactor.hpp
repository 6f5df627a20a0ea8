#pragma once

#include "io/kv_segment.hpp"
#include "engine/segment_compaction.hpp"
#include "engine/segment_ledger.hpp"
#include "engine/worker_thread.hpp"

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace longhaul::engine {

/// Merges the segments of a ledger in a thread of its own, so that neither a step nor a segment to be written waits for it.
/// What cannot be merged (full disk, damage) stays as it is: said, and tried again after ever more epochs.
class SegmentCompactor {
  public:
    /// `new_name` gives names of segments.
    SegmentCompactor(std::filesystem::path folder, io::KvSegmentShape shape, SegmentLedger& ledger,
                     std::function<std::string()> new_name);
    SegmentCompactor(SegmentCompactor const&) = delete;
    SegmentCompactor& operator=(SegmentCompactor const&) = delete;
    ~SegmentCompactor();  ///< what is under way is broken off

    /// Takes over what was merged and begins, if it `may_begin`, what is to be merged next; never waits.
    void advance(bool may_begin);
    void epoch_begun();
    /// Breaks off what is under way and begins nothing any more.
    void stop() { stopped_ = true; }

    /// Whether more segments are about to become fewer.
    [[nodiscard]] bool busy() const { return !stopped_ && thread_.num_pending() > 0; }
    [[nodiscard]] std::int64_t bytes_written() const { return bytes_written_; }

  private:
    void take(CompactDone const& done);

    SegmentLedger& ledger_;
    std::function<std::string()> new_name_;
    std::atomic<bool> stopped_ = false;
    std::int64_t bytes_written_ = 0;
    std::int64_t pause_ = 0;                         // epochs until the next attempt
    std::int64_t next_pause_ = 1;                    // after a failure
    WorkerThread<CompactTask, CompactDone> thread_;  // last: it uses the members above
};

}  // namespace longhaul::engine
