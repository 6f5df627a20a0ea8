#pragma once

#include "base/block_key.hpp"
#include "base/types.hpp"
#include "schedule/block_allocator.hpp"
#include "schedule/block_table.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace longhaul::schedule {

using longhaul::BlockKey;

/// What a sequence asks of the KV pool.
struct KvRequest {
    SequenceId sequence = -1;
    std::int64_t num_slots = 0;             ///< all slots it can ever need: reserved at admission
    std::span<BlockKey const> prefix_keys;  ///< blocks [0, size) may be shared with other sequences
    std::int64_t max_shared_blocks =
        0;  ///< at most this many blocks are taken over instead of computed
    std::int64_t start_granularity_blocks =
        1;  ///< a partial take-over is rounded down to a multiple of this
    std::uint64_t placement_hash =
        0;  ///< picks the coordinate of a `single` sequence; from the job alone
};

/// Book-keeping of the KV pool of one replica, for every KVP coordinate: which block of which sequence lies where, who
/// shares it, what is free. Pure and deterministic: each rank holds an equal copy and the storage (kv/) only follows.
///
/// Whole blocks of a prefix are shared by key and never written again by those who took them over. A block that nobody
/// uses any more but whose content is known stays as a cache and is evicted (least recently used, deepest first) when a
/// reservation needs the room.
class KvLedger {
  public:
    struct Options {
        std::int64_t block_slots = 128;
        KvPolicy policy = KvPolicy::automatic;
        std::int64_t single_max_blocks =
            8;  ///< `automatic`: sequences of at most this many blocks are `single`
        std::vector<std::int64_t> capacity;  ///< blocks per KVP coordinate; its size is kvp
    };

    explicit KvLedger(Options options);

    /// Reserves all blocks of a sequence. Empty when they do not fit now (nothing is changed then), else the number of
    /// leading blocks taken over from another sequence (possibly still being filled by it).
    [[nodiscard]] std::optional<std::int64_t> admit(KvRequest const& request);

    /// Whether a sequence of this many slots fits an otherwise empty pool.
    [[nodiscard]] bool can_ever_fit(std::int64_t num_slots, std::uint64_t placement_hash) const;

    /// Entries [0, end) of the sequence have been planned for writing: its whole blocks below are content for others.
    void mark_filled(SequenceId sequence, std::int64_t end);

    /// First slot of a taken-over block that is not filled yet, or the end of the taken-over blocks.
    [[nodiscard]] std::int64_t filled_frontier(SequenceId sequence) const;

    /// Whether the block at the frontier is being filled by another live sequence.
    [[nodiscard]] bool frontier_has_filler(SequenceId sequence) const;

    /// The sequence fills its taken-over blocks from `block` on itself (their filler died).
    void adopt_filling(SequenceId sequence, std::int64_t block);

    /// Gives the sequence's blocks back. With `discard` its own blocks are also forgotten as content (a failed sequence)
    /// and returned, so that the storage can scrub them.
    std::vector<BlockRef> release(SequenceId sequence, bool discard);

    [[nodiscard]] BlockTable const& table(SequenceId sequence) const;
    [[nodiscard]] KvPolicy policy_of(SequenceId sequence) const;
    [[nodiscard]] std::int64_t home_of(
        SequenceId sequence) const;  ///< coordinate of a `single` sequence
    [[nodiscard]] std::int64_t block_slots() const { return options_.block_slots; }
    [[nodiscard]] std::int64_t kvp() const {
        return static_cast<std::int64_t>(options_.capacity.size());
    }
    [[nodiscard]] std::int64_t num_free(std::int64_t coordinate) const;

  private:
    struct KeyHash {
        std::size_t operator()(BlockKey const& key) const { return key.low; }
    };
    struct Shared {
        BlockRef place;
        std::int64_t depth = 0;  // block number inside the sequence
        std::int64_t references = 0;
        SequenceId filler = -1;  // live sequence that writes it; -1 when filled or orphaned
        bool filled = false;
        std::int64_t last_use = 0;
    };
    struct Holding {
        BlockTable table;
        KvPolicy policy = KvPolicy::striped;
        std::int64_t home = 0;
        std::vector<BlockKey> keys;   // shared blocks this sequence references: block i has keys[i]
        std::int64_t taken_over = 0;  // leading blocks taken over
        std::int64_t filled_blocks = 0;  // blocks this sequence has marked
    };

    [[nodiscard]] KvPolicy choose_policy(std::int64_t num_blocks) const;
    [[nodiscard]] std::int64_t owner(KvPolicy policy, std::int64_t home, std::int64_t block) const;
    [[nodiscard]] std::int64_t count_reusable(KvRequest const& request, KvPolicy policy,
                                              std::int64_t home) const;
    [[nodiscard]] bool make_room(std::vector<std::int64_t> const& needed);
    void evict_one(std::int64_t coordinate);
    void make_idle(BlockKey const& key, Shared& shared);
    void forget(BlockKey const& key);
    void forget_idle(BlockKey const& key);

    Options options_;
    std::vector<BlockAllocator> allocators_;
    // Per coordinate the filled blocks without user, by (time of last use, -depth): the first one is evicted first.
    std::vector<std::map<std::pair<std::int64_t, std::int64_t>, BlockKey>> idle_;
    std::unordered_map<BlockKey, Shared, KeyHash> shared_;
    std::map<SequenceId, Holding> holdings_;
    std::int64_t clock_ = 0;
};

}  // namespace longhaul::schedule
