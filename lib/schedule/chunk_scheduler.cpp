#include "schedule/chunk_scheduler.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace longhaul::schedule {

ChunkScheduler::ChunkScheduler(Options options)
    : options_(std::move(options)), ledger_(options_.kv) {
    LH_EXPECT(options_.chunk > 0 && options_.max_batch > 0);
}

void ChunkScheduler::apply(StepInputs const& inputs) {
    for (TokenResult const& result : inputs.tokens) {
        auto const found = running_.find(result.sequence);
        if (found == running_.end()) {
            continue;  // it failed while this step was in flight
        }
        Sequence& sequence = found->second;
        LH_ASSERT(result.index ==
                  sequence.prompt_length() + static_cast<std::int64_t>(sequence.generated.size()));
        sequence.generated.push_back(result.token);
        if (result.end != EndReason::none) {
            retire(result.sequence, result.end);
        }
    }
    for (SequenceEnd const& end : inputs.ended) {
        if (running_.contains(end.sequence)) {
            retire(end.sequence, end.end);
        }
    }
    for (SequenceLoaded const& loaded : inputs.loaded) {
        apply_loaded(loaded);
    }
    waiting_.insert(waiting_.end(), inputs.admissions.begin(), inputs.admissions.end());
    epoch_ = inputs.epoch;
    last_ = inputs.stop;
}

void ChunkScheduler::apply_loaded(SequenceLoaded const& loaded) {
    Sequence& sequence =
        running_.at(loaded.sequence);  // a sequence that loads is in no plan: it cannot have failed
    LH_ASSERT(sequence.loading && loaded.entries <= sequence.spec.load_entries);
    sequence.loading = false;
    sequence.loaded = loaded.entries;
    sequence.generated.resize(static_cast<std::size_t>(sequence.tokens_known_at(loaded.entries)));
    ledger_.mark_filled(loaded.sequence, loaded.entries);
}

void ChunkScheduler::retire(SequenceId id, EndReason reason) {
    std::vector<BlockRef> const freed = ledger_.release(id, reason == EndReason::failed);
    scrub_.insert(scrub_.end(), freed.begin(), freed.end());
    running_.erase(id);
    retired_.push_back(id);
}

StepPlan ChunkScheduler::plan(StepIndex step) {
    admit_waiting();
    StepPlan plan;
    plan.step = step;
    plan.retired = std::exchange(retired_, {});
    plan.scrub = std::exchange(scrub_, {});
    plan.loads = std::exchange(loads_, {});
    plan.epoch = std::exchange(epoch_, false);
    plan.last = std::exchange(last_, false);
    plan_decodes(plan);
    plan_chunks(plan);
    return plan;
}

std::int64_t ChunkScheduler::start_granularity() const {
    std::int64_t const block = ledger_.block_slots();
    return std::lcm(options_.chunk, block) / block;
}

void ChunkScheduler::admit_waiting() {
    while (!waiting_.empty() && static_cast<std::int64_t>(running_.size()) < options_.max_batch) {
        SequenceSpec& spec = waiting_.front();
        KvRequest request{spec.id,
                          spec.num_slots(),
                          spec.prefix_keys,
                          spec.score ? 0 : spec.cut / ledger_.block_slots(),
                          start_granularity(),
                          spec.placement_hash};
        std::optional<std::int64_t> const taken_over = ledger_.admit(request);
        if (!taken_over) {
            LH_ASSERT(!running_.empty());  // the leader announces only what fits an empty pool
            return;
        }
        SequenceId const id = spec.id;
        Sequence sequence;
        sequence.spec = std::move(spec);
        sequence.taken_over = *taken_over * ledger_.block_slots();
        if (sequence.spec.load_entries > 0) {
            sequence.loading = true;
            sequence.generated = sequence.spec.resumed;
            loads_.push_back(id);
        }
        running_.emplace(id, std::move(sequence));
        waiting_.pop_front();
    }
}

void ChunkScheduler::plan_decodes(StepPlan& plan) {
    for (auto& [id, sequence] : running_) {
        if (sequence.decode_ready()) {
            plan.items.push_back(
                {id, sequence.num_planned, sequence.num_planned + 1, true, true, false});
            ++sequence.num_planned;
        }
    }
}

// Jumps over taken-over entries that are filled. False: the sequence has to wait for the one that fills them.
bool ChunkScheduler::skip_shared(Sequence& sequence) {
    if (sequence.loading) {
        return false;
    }
    std::int64_t const ready = std::max(sequence.taken_over, sequence.loaded);
    if (sequence.num_planned >= ready) {
        return true;
    }
    std::int64_t const frontier = ledger_.filled_frontier(sequence.spec.id);
    if (frontier >= sequence.taken_over) {
        sequence.num_planned = ready;
        return true;
    }
    if (ledger_.frontier_has_filler(sequence.spec.id)) {
        return false;
    }
    // The filler died. This sequence takes over at the last chunk boundary that is a block boundary too.
    std::int64_t const unit = start_granularity() * ledger_.block_slots();
    sequence.num_planned = std::max(sequence.num_planned, round_down(frontier, unit));
    ledger_.adopt_filling(sequence.spec.id, sequence.num_planned / ledger_.block_slots());
    sequence.taken_over = sequence.num_planned;
    sequence.loaded = 0;  // behind the gap: computed again
    sequence.generated.clear();
    return true;
}

std::int64_t ChunkScheduler::chunk_end(Sequence const& sequence) const {
    std::int64_t const begin = sequence.num_planned;
    std::int64_t const cut = sequence.spec.cut;
    std::int64_t const origin = begin < cut ? 0 : cut;
    std::int64_t const limit = begin < cut ? cut : sequence.prompt_length();
    return std::min(limit, origin + round_down(begin - origin, options_.chunk) + options_.chunk);
}

void ChunkScheduler::plan_chunks(StepPlan& plan) {
    std::int64_t budget = options_.chunk;
    for (auto& [id, sequence] : running_) {
        if (budget <= 0) {
            return;
        }
        if (!sequence.in_prefill() || !skip_shared(sequence)) {
            continue;
        }
        if (!sequence.in_prefill()) {
            continue;  // all of its prompt was loaded
        }
        std::int64_t const begin = sequence.num_planned;
        std::int64_t const end = chunk_end(sequence);
        if (end - begin > budget) {
            continue;  // a chunk is never shortened by company
        }
        bool const last = end == sequence.prompt_length();
        plan.items.push_back(
            {id, begin, end, false, last && !sequence.spec.score, sequence.spec.score});
        sequence.num_planned = end;
        ledger_.mark_filled(id, end);
        budget -= end - begin;
    }
}

}  // namespace longhaul::schedule
