// The part of ReplicaLeader that saves and resumes.

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "schedule/block_keys.hpp"
#include "engine/replica_leader.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace longhaul::engine {
namespace {

/// Shorter documents are computed faster than they are looked after.
constexpr std::int64_t kMinStoredBlocks = 8;

std::vector<BlockKey> keys_of(schedule::Sequence const& sequence, std::int64_t block_slots) {
    std::vector<BlockKey> keys;
    BlockKey key;
    std::vector<TokenId> entries;
    for (std::int64_t begin = 0; begin < sequence.num_planned; begin += block_slots) {
        entries.clear();
        std::int64_t const end = std::min(begin + block_slots, sequence.num_planned);
        for (std::int64_t index = begin; index < end; ++index) {
            entries.push_back(sequence.token_at(index));
        }
        key = schedule::next_block_key(key, entries, begin, sequence.spec.embeddings);
        keys.push_back(key);
    }
    return keys;
}

}  // namespace

// With stop and epoch in the inputs of step j, step j + lag is the last one, and what it leaves is saved.
void ReplicaLeader::announce_epoch(schedule::StepInputs& inputs) {
    inputs.stop = stop_wanted_ && !finished();
    stop_published_ = inputs.stop;
    auto const now = Clock::now();
    bool const documents = !documents_.empty() && !epochs_.busy();
    bool const wanted = inputs.stop
                            ? epochs_.enabled()
                            : documents || (!live_.empty() && epochs_.due(tokens_computed_, now));
    if (wanted) {
        inputs.epoch = true;
        epochs_.announced(tokens_computed_, now);
    }
}

// The prompt of a job is being completed: its document may go into the store once its outcome was seen to be finite.
void ReplicaLeader::note_document(schedule::Sequence const& sequence, LiveJob& job) {
    std::int64_t const blocks = sequence.spec.cut / options_.block_slots;
    if (blocks < kMinStoredBlocks) {
        return;
    }
    std::vector<BlockKey> keys = schedule::block_keys(
        sequence.spec.prompt, blocks, options_.block_slots, sequence.spec.embeddings);
    if (options_.segments != nullptr && options_.segments->contains(keys.back())) {
        BlockKey const& last = keys.back();
        link_.send(LinkKind::used, {reinterpret_cast<char const*>(&last), sizeof last});
    } else if (stored_.insert(keys.back().low).second) {
        job.set_document({job.document_name(), std::move(keys)});
    }
}

void ReplicaLeader::store_document(LiveJob& job) {
    if (std::optional<StoredDocument> document = job.take_document()) {
        documents_.push_back(std::move(*document));
    }
}

void ReplicaLeader::begin_epoch(schedule::StepPlan const& plan,
                                schedule::ChunkScheduler const& scheduler) {
    std::map<SequenceId, std::int64_t> positions;
    std::vector<SequenceKeys> keys;
    for (auto const& [id, sequence] : scheduler.running()) {
        // One that was not begun again yet stays in the manifest it came from.
        if (sequence.num_planned > 0) {
            positions[id] = sequence.num_planned;
            auto const job = live_.find(id);
            if (plan.last && job != live_.end()) {
                keys.push_back({job->second.id(), keys_of(sequence, options_.block_slots)});
            }
        }
    }
    epochs_.begin(plan.step, std::move(positions), std::exchange(documents_, {}), std::move(keys));
}

// The outcomes of all steps before `end` were handled: the epochs before it are complete.
void ReplicaLeader::capture_state(StepIndex end) {
    while (std::optional<StepIndex> const epoch = epochs_.awaiting_state()) {
        if (*epoch >= end) {
            return;
        }
        auto const now = Clock::now();
        std::vector<io::SavedSequence> sequences;
        for (auto const& [id, position] : epochs_.positions()) {
            auto const job = live_.find(id);
            if (job != live_.end()) {
                sequences.push_back(job->second.save(position, now));
            }
        }
        for (std::optional<io::SavedSequence> const& ended : unacknowledged_) {
            if (ended) {
                sequences.push_back(*ended);
            }
        }
        epochs_.set_state(std::move(sequences));
    }
}

void ReplicaLeader::hand_on_epochs() {
    while (std::optional<EpochContent> const content = epochs_.take_ready(Clock::now())) {
        link_.send(LinkKind::epoch, content->serialize());
    }
}

void ReplicaLeader::add_report(LoadReport const& report) {
    Load& load = loads_.at(report.sequence);
    load.entries = std::min(load.entries, report.entries);
    ++load.reports;
}

// Where a sequence goes on that could not be loaded as far as it was saved: where a chunk begins that it would have without a break,
// so that what is computed from there on has the same bits.
std::int64_t ReplicaLeader::resume_point(Load const& load) const {
    if (load.entries == load.wanted || load.entries >= load.prompt_length) {
        return load.entries;
    }
    std::int64_t const unit = std::lcm(options_.chunk, options_.block_slots);
    return load.entries < load.cut ? round_down(load.entries, unit)
                                   : load.cut + round_down(load.entries - load.cut, unit);
}

// With nothing in flight and no news for a whole turn of the pipeline the scheduler plans the same nothing for ever, until a
// load is reported.
bool ReplicaLeader::all_wait_for_loads() const {
    bool const reported = std::any_of(loads_.begin(), loads_.end(), [this](auto const& load) {
        return load.second.reports == options_.num_ranks;
    });
    bool const in_flight = std::any_of(planned_.begin(), planned_.end(),
                                       [](PlannedStep const& step) { return !step.empty; });
    return !loads_.empty() && !reported && !in_flight && quiet_steps_ > options_.lag + 1;
}

void ReplicaLeader::announce_loaded(schedule::StepInputs& inputs) {
    for (auto load = loads_.begin(); load != loads_.end();) {
        if (load->second.reports < options_.num_ranks) {
            ++load;
            continue;
        }
        auto const& [id, what] = *load;
        std::int64_t const entries = resume_point(what);
        live_.at(id).go_back_to(entries);
        inputs.loaded.push_back({id, entries});
        load = loads_.erase(load);
    }
}

}  // namespace longhaul::engine
