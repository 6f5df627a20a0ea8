#pragma once

#include "base/block_key.hpp"
#include "io/kv_segment_info.hpp"
#include "io/manifest.hpp"
#include "schedule/step_plan.hpp"
#include "engine/checkpoint_reports.hpp"
#include "engine/live_job.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace longhaul::engine {

/// When epochs happen. Neither: only the last step of a run that is stopped is one.
struct EpochInterval {
    std::optional<double> seconds;
    std::optional<std::int64_t> tokens;  ///< computed by the replica
};

/// The blocks of a saved sequence in order.
struct SequenceKeys {
    std::string job_id;
    std::vector<BlockKey> keys;
};

/// What a leader hands to world rank 0 of an epoch; its manifest is made of it.
struct EpochContent {
    StepIndex epoch = -1;
    std::vector<io::SavedSequence> sequences;
    std::vector<io::KvSegmentInfo> segments;
    std::vector<std::string> dropped;  ///< as in EpochReport
    std::vector<StoredDocument> documents;
    std::vector<SequenceKeys> keys;  ///< of the last epoch of a run that is stopped

    [[nodiscard]] std::string serialize() const;
    static EpochContent deserialize(std::string const& payload);
};

/// Follows the epochs of one replica on its leader: an epoch has begun when its step is planned, its sequences are known when
/// that step is complete, and it may be handed on when every rank has reported its segments.
class EpochKeeper {
  public:
    /// `num_ranks` of the replica; `enabled` is false where nothing is saved.
    EpochKeeper(int num_ranks, bool enabled, EpochInterval interval, Clock::time_point now);

    [[nodiscard]] bool enabled() const { return enabled_; }

    /// Whether a new epoch is to be announced. One at a time: a slow disk makes epochs rarer, not more.
    [[nodiscard]] bool due(std::int64_t tokens_computed, Clock::time_point now) const;

    /// The inputs that announce the epoch were published.
    void announced(std::int64_t tokens_computed, Clock::time_point now);

    /// The step of the epoch was planned: which sequences it saves, and how many of their entries.
    void begin(StepIndex step, std::map<SequenceId, std::int64_t> positions,
               std::vector<StoredDocument> documents, std::vector<SequenceKeys> keys);

    /// The oldest epoch whose sequences are not known yet.
    [[nodiscard]] std::optional<StepIndex> awaiting_state() const;
    [[nodiscard]] std::map<SequenceId, std::int64_t> const& positions() const;
    void set_state(std::vector<io::SavedSequence> sequences);

    void add_report(EpochReport report);

    /// An epoch of which everything is on the disk but the manifest.
    [[nodiscard]] std::optional<EpochContent> take_ready(Clock::time_point now);

    /// World rank 0 has written (or could not write) the manifest that was handed to it.
    void settled(Clock::time_point now);

    /// Announced, planned or handed on, and not settled.
    [[nodiscard]] bool busy() const { return announced_ > 0 || !epochs_.empty() || handed_on_ > 0; }

    /// Longest time from an announcement to the manifest so far; 0 before the first one.
    [[nodiscard]] double longest_s() const { return longest_s_; }

  private:
    struct Epoch {
        EpochContent content;
        std::map<SequenceId, std::int64_t> positions;
        bool state_known = false;
        int reports = 0;
        std::string failure;
        Clock::time_point begun;
    };

    int num_ranks_;
    bool enabled_;
    EpochInterval interval_;
    std::deque<Epoch> epochs_;
    int announced_ = 0;
    int handed_on_ = 0;
    Clock::time_point last_;  // end of the last epoch
    Clock::time_point announced_at_;
    std::int64_t tokens_at_last_ = 0;
    double longest_s_ = 0.0;
};

}  // namespace longhaul::engine
