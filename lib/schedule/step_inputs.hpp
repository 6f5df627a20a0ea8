#pragma once

#include "base/types.hpp"
#include "schedule/embedding_span.hpp"
#include "schedule/kv_ledger.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace longhaul::schedule {

/// What every rank of a replica has to know of a sequence it is going to run.
struct SequenceSpec {
    SequenceId id = -1;
    std::vector<TokenId>
        prompt;  ///< token ids of the prompt, kEmbeddingEntry inside `embeddings`; not empty
    std::int64_t cut =
        0;  ///< a prefill chunk ends here: last block boundary inside the document, or 0
    std::int64_t max_new_tokens = 0;    ///< 0 for `score`
    bool score = false;                 ///< teacher-forced: log-probability of every prompt token
    std::vector<BlockKey> prefix_keys;  ///< keys of the blocks [0, cut / block_slots)
    std::uint64_t placement_hash = 0;   ///< from the job alone
    double temperature = 0.0;
    std::uint64_t seed = 0;
    std::uint64_t noise_key = 0;    ///< hash of the job id, for sampling noise
    std::int32_t top_logprobs = 0;  ///< largest log-probabilities wanted per generated token
    std::int64_t load_entries =
        0;  ///< entries [0, load_entries) are looked for in saved segments first
    std::vector<TokenId> resumed;           ///< tokens that an earlier run generated
    std::vector<EmbeddingSpan> embeddings;  ///< prompt entries that are no tokens; ascending, apart

    /// Slots of the KV cache it can need: the last generated token is never fed back.
    [[nodiscard]] std::int64_t num_slots() const {
        auto const prompt_length = static_cast<std::int64_t>(prompt.size());
        return max_new_tokens > 0 ? prompt_length + max_new_tokens - 1 : prompt_length;
    }
};

/// Why a sequence leaves.
enum class EndReason : std::int32_t {
    none,    ///< it goes on
    stop,    ///< end-of-sequence token
    length,  ///< max_new_tokens reached
    scored,  ///< `score`: the last prompt token was done
    failed,  ///< error of this sequence alone; its KV blocks are scrubbed
};

/// One sampled token and the stop decision on it.
struct TokenResult {
    SequenceId sequence = -1;
    std::int64_t index = 0;  ///< causal index of the token
    TokenId token = -1;
    EndReason end = EndReason::none;
};

/// A sequence that ends without a token of this step.
struct SequenceEnd {
    SequenceId sequence = -1;
    EndReason end = EndReason::none;
};

/// What could be loaded of a sequence with `load_entries`: it goes on from entry `entries`.
struct SequenceLoaded {
    SequenceId sequence = -1;
    std::int64_t entries = 0;
};

/// What happened in one step, collected by the leader and broadcast to every rank of the replica: the only input of the
/// scheduler. Plan k depends on the StepInputs of steps <= k - lag alone. New members are appended with a section tag of
/// their own in serialize(), so the record grows without touching what is there.
struct StepInputs {
    StepIndex step = -1;
    std::vector<TokenResult> tokens;
    std::vector<SequenceEnd> ended;
    std::vector<SequenceSpec> admissions;
    std::vector<SequenceLoaded> loaded;
    bool epoch =
        false;  ///< step + lag is an epoch: when it is done every rank saves what the manifest will name
    bool stop = false;           ///< that step is also the last one
    double leader_time_s = 0.0;  ///< leader's clock: schedulers have none of their own
    bool end = false;            ///< the replica is done: no step after those in flight

    [[nodiscard]] std::vector<std::byte> serialize() const;
    static StepInputs deserialize(std::span<std::byte const> bytes);
};

}  // namespace longhaul::schedule
