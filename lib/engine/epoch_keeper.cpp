#include "engine/epoch_keeper.hpp"

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "engine/saved_sequence_bytes.hpp"

#include <algorithm>
#include <utility>

namespace longhaul::engine {

EpochKeeper::EpochKeeper(int num_ranks, bool enabled, EpochInterval interval, Clock::time_point now)
    : num_ranks_(num_ranks), enabled_(enabled), interval_(interval), last_(now) {}

bool EpochKeeper::due(std::int64_t tokens_computed, Clock::time_point now) const {
    if (!enabled_ || busy()) {
        return false;
    }
    if (interval_.tokens && tokens_computed - tokens_at_last_ >= *interval_.tokens) {
        return true;
    }
    return interval_.seconds &&
           std::chrono::duration<double>(now - last_).count() >= *interval_.seconds;
}

void EpochKeeper::announced(std::int64_t tokens_computed, Clock::time_point now) {
    ++announced_;
    announced_at_ = now;
    tokens_at_last_ = tokens_computed;
}

void EpochKeeper::begin(StepIndex step, std::map<SequenceId, std::int64_t> positions,
                        std::vector<StoredDocument> documents, std::vector<SequenceKeys> keys) {
    --announced_;
    Epoch& epoch = epochs_.emplace_back();
    epoch.content.epoch = step;
    epoch.content.documents = std::move(documents);
    epoch.content.keys = std::move(keys);
    epoch.positions = std::move(positions);
    epoch.begun = announced_at_;
}

std::optional<StepIndex> EpochKeeper::awaiting_state() const {
    for (Epoch const& epoch : epochs_) {
        if (!epoch.state_known) {
            return epoch.content.epoch;
        }
    }
    return std::nullopt;
}

std::map<SequenceId, std::int64_t> const& EpochKeeper::positions() const {
    auto const epoch =
        std::find_if(epochs_.begin(), epochs_.end(), [](Epoch const& e) { return !e.state_known; });
    LH_EXPECT(epoch != epochs_.end());
    return epoch->positions;
}

void EpochKeeper::set_state(std::vector<io::SavedSequence> sequences) {
    auto const epoch =
        std::find_if(epochs_.begin(), epochs_.end(), [](Epoch const& e) { return !e.state_known; });
    LH_EXPECT(epoch != epochs_.end());
    epoch->content.sequences = std::move(sequences);
    epoch->state_known = true;
}

void EpochKeeper::add_report(EpochReport report) {
    auto const epoch = std::find_if(epochs_.begin(), epochs_.end(), [&](Epoch const& e) {
        return e.content.epoch == report.epoch;
    });
    LH_ASSERT(epoch != epochs_.end());
    ++epoch->reports;
    if (epoch->failure.empty()) {
        epoch->failure = std::move(report.failure);
    }
    std::vector<std::string>& dropped = epoch->content.dropped;
    dropped.insert(dropped.end(), report.dropped.begin(), report.dropped.end());
    std::vector<io::KvSegmentInfo>& segments = epoch->content.segments;
    // Ranks of one grid read the same old segments of another one.
    for (io::KvSegmentInfo& segment : report.segments) {
        bool const known =
            std::any_of(segments.begin(), segments.end(),
                        [&](io::KvSegmentInfo const& other) { return other.name == segment.name; });
        if (!known) {
            segments.push_back(std::move(segment));
        }
    }
}

std::optional<EpochContent> EpochKeeper::take_ready(Clock::time_point now) {
    if (epochs_.empty() || !epochs_.front().state_known || epochs_.front().reports < num_ranks_) {
        return std::nullopt;
    }
    Epoch epoch = std::move(epochs_.front());
    epochs_.pop_front();
    if (!epoch.failure.empty()) {
        log::warn(
            "the checkpoint of step {} could not be written: {}; the run goes on and keeps "
            "the one before",
            epoch.content.epoch, epoch.failure);
        last_ = now;
        return std::nullopt;
    }
    ++handed_on_;
    announced_at_ = epoch.begun;
    return std::move(epoch.content);
}

void EpochKeeper::settled(Clock::time_point now) {
    LH_ASSERT(handed_on_ > 0);
    --handed_on_;
    last_ = now;
    longest_s_ = std::max(longest_s_, std::chrono::duration<double>(now - announced_at_).count());
}

std::string EpochContent::serialize() const {
    ByteWriter out;
    out.put(epoch);
    put_segments(out, segments);
    put_names(out, dropped);
    out.put(static_cast<std::int64_t>(documents.size()));
    for (StoredDocument const& document : documents) {
        out.put(document.name);
        out.put(document.keys);
    }
    out.put(static_cast<std::int64_t>(keys.size()));
    for (SequenceKeys const& sequence : keys) {
        out.put(sequence.job_id);
        out.put(sequence.keys);
    }
    for (io::SavedSequence const& sequence : sequences) {
        out.put(to_bytes(sequence));
    }
    std::vector<std::byte> const bytes = out.take();
    return {reinterpret_cast<char const*>(bytes.data()), bytes.size()};
}

EpochContent EpochContent::deserialize(std::string const& payload) {
    ByteReader in(std::as_bytes(std::span(payload.data(), payload.size())));
    EpochContent content;
    in.get(content.epoch);
    content.segments = get_segments(in);
    content.dropped = get_names(in);
    content.documents.resize(static_cast<std::size_t>(in.get<std::int64_t>()));
    for (StoredDocument& document : content.documents) {
        in.get(document.name);
        in.get(document.keys);
    }
    content.keys.resize(static_cast<std::size_t>(in.get<std::int64_t>()));
    for (SequenceKeys& sequence : content.keys) {
        in.get(sequence.job_id);
        in.get(sequence.keys);
    }
    while (!in.at_end()) {
        std::string bytes;
        in.get(bytes);
        content.sequences.push_back(sequence_from_bytes(bytes));
    }
    return content;
}

}  // namespace longhaul::engine
