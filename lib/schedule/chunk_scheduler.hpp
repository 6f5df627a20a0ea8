#pragma once

#include "base/types.hpp"
#include "schedule/kv_ledger.hpp"
#include "schedule/step_inputs.hpp"
#include "schedule/step_plan.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

namespace longhaul::schedule {

/// A sequence as the scheduler sees it. Counts are entries (causal indices).
struct Sequence {
    SequenceSpec spec;
    std::int64_t num_planned = 0;    ///< entries [0, num_planned) have been planned
    std::vector<TokenId> generated;  ///< known generated tokens
    std::int64_t taken_over = 0;     ///< leading entries taken over from another sequence's blocks
    std::int64_t loaded =
        0;  ///< leading entries that need no computing, as far as taken_over is filled
    bool loading = false;  ///< waits until what can be loaded is known

    [[nodiscard]] std::int64_t prompt_length() const {
        return static_cast<std::int64_t>(spec.prompt.size());
    }
    [[nodiscard]] bool in_prefill() const { return num_planned < prompt_length(); }
    /// A generated token that is known and not fed yet.
    [[nodiscard]] bool decode_ready() const {
        return !in_prefill() &&
               num_planned < prompt_length() + static_cast<std::int64_t>(generated.size());
    }
    /// Of the generated tokens those that remain known when the sequence goes on from entry `entries`: the last one is fed
    /// there.
    [[nodiscard]] std::int64_t tokens_known_at(std::int64_t entries) const {
        return std::clamp<std::int64_t>(entries - prompt_length() + 1, 0,
                                        static_cast<std::int64_t>(generated.size()));
    }
    [[nodiscard]] TokenId token_at(std::int64_t index) const {
        return index < prompt_length()
                   ? spec.prompt[static_cast<std::size_t>(index)]
                   : generated[static_cast<std::size_t>(index - prompt_length())];
    }
};

/// Cuts prompts into prefill chunks, mixes in decodes and reserves KV: the pure scheduler of one replica. Every rank runs
/// it on the same StepInputs and gets the same StepPlan. No MPI, files, clock or hardware.
///
/// Chunk boundaries of a sequence are multiples of the chunk size counted from 0 up to its cut and from the cut on: they
/// depend neither on company nor on what is shared. First come, first served; decodes first, then chunks up to `chunk`
/// rows. Source: Agrawal et al. 2024 (Sarathi-Serve, arXiv:2403.02310); chunks of one document in successive steps keep
/// the pipeline stages busy (Agrawal et al. 2024, Mnemosyne, arXiv:2409.17264).
class ChunkScheduler {
  public:
    struct Options {
        std::int64_t chunk = 512;    ///< prefill rows per step
        std::int64_t max_batch = 8;  ///< sequences running together
        KvLedger::Options kv;
    };

    explicit ChunkScheduler(Options options);

    /// Takes the inputs of one step; steps in order.
    void apply(StepInputs const& inputs);

    /// Plans the next step. Every call counts: all ranks call it once per step.
    [[nodiscard]] StepPlan plan(StepIndex step);

    /// Nothing waits, runs or is in flight.
    [[nodiscard]] bool idle() const { return waiting_.empty() && running_.empty(); }

    [[nodiscard]] Sequence const& sequence(SequenceId id) const { return running_.at(id); }
    /// Admitted sequences that have not been retired.
    [[nodiscard]] std::map<SequenceId, Sequence> const& running() const { return running_; }
    [[nodiscard]] KvLedger const& kv() const { return ledger_; }
    [[nodiscard]] Options const& options() const { return options_; }
    [[nodiscard]] std::size_t num_running() const { return running_.size(); }

    /// Most rows a plan can have.
    [[nodiscard]] std::int64_t max_rows() const { return options_.chunk + options_.max_batch; }

  private:
    void admit_waiting();
    void retire(SequenceId id, EndReason reason);
    void plan_decodes(StepPlan& plan);
    void plan_chunks(StepPlan& plan);
    [[nodiscard]] bool skip_shared(Sequence& sequence);
    [[nodiscard]] std::int64_t chunk_end(Sequence const& sequence) const;
    [[nodiscard]] std::int64_t start_granularity() const;
    void apply_loaded(SequenceLoaded const& loaded);

    Options options_;
    KvLedger ledger_;
    std::deque<SequenceSpec> waiting_;
    std::map<SequenceId, Sequence> running_;  // by id: admission order
    std::vector<SequenceId> retired_;
    std::vector<BlockRef> scrub_;
    std::vector<SequenceId> loads_;
    bool epoch_ = false;
    bool last_ = false;
};

}  // namespace longhaul::schedule
