#include "schedule/kv_ledger.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"

#include <algorithm>
#include <utility>

namespace longhaul::schedule {

KvLedger::KvLedger(Options options)
    : options_(std::move(options)), idle_(options_.capacity.size()) {
    LH_EXPECT(options_.block_slots > 0 && !options_.capacity.empty());
    for (std::int64_t const capacity : options_.capacity) {
        allocators_.emplace_back(capacity);
    }
}

KvPolicy KvLedger::choose_policy(std::int64_t num_blocks) const {
    if (options_.policy != KvPolicy::automatic) {
        return options_.policy;
    }
    return num_blocks <= options_.single_max_blocks ? KvPolicy::single : KvPolicy::striped;
}

std::int64_t KvLedger::owner(KvPolicy policy, std::int64_t home, std::int64_t block) const {
    return policy == KvPolicy::single ? home : block % kvp();
}

bool KvLedger::can_ever_fit(std::int64_t num_slots, std::uint64_t placement_hash) const {
    std::int64_t const blocks = ceil_div(num_slots, options_.block_slots);
    KvPolicy const policy = choose_policy(blocks);
    std::int64_t const home =
        static_cast<std::int64_t>(placement_hash % static_cast<std::uint64_t>(kvp()));
    for (std::int64_t c = 0; c < kvp(); ++c) {
        std::int64_t const here = policy == KvPolicy::single ? (c == home ? blocks : 0)
                                                             : (blocks - c + kvp() - 1) / kvp();
        if (here > options_.capacity[static_cast<std::size_t>(c)]) {
            return false;
        }
    }
    return true;
}

std::int64_t KvLedger::count_reusable(KvRequest const& request, KvPolicy policy,
                                      std::int64_t home) const {
    std::int64_t const limit =
        std::min(request.max_shared_blocks, static_cast<std::int64_t>(request.prefix_keys.size()));
    std::int64_t found = 0;
    while (found < limit) {
        auto const entry = shared_.find(request.prefix_keys[static_cast<std::size_t>(found)]);
        if (entry == shared_.end() ||
            entry->second.place.coordinate != owner(policy, home, found)) {
            break;
        }
        ++found;
    }
    // A partial take-over must start where a prefill chunk would start anyway, so that chunks do not depend on company.
    return found == limit ? found : round_down(found, request.start_granularity_blocks);
}

std::optional<std::int64_t> KvLedger::admit(KvRequest const& request) {
    LH_EXPECT(!holdings_.contains(request.sequence));
    std::int64_t const num_blocks = ceil_div(request.num_slots, options_.block_slots);
    Holding holding;
    holding.policy = choose_policy(num_blocks);
    holding.home =
        static_cast<std::int64_t>(request.placement_hash % static_cast<std::uint64_t>(kvp()));
    holding.taken_over = count_reusable(request, holding.policy, holding.home);

    // Reference what is taken over first, so that making room cannot evict it.
    for (std::int64_t block = 0; block < holding.taken_over; ++block) {
        BlockKey const& key = request.prefix_keys[static_cast<std::size_t>(block)];
        Shared& shared = shared_.at(key);
        if (shared.references++ == 0 && shared.filled) {
            idle_[static_cast<std::size_t>(shared.place.coordinate)].erase(
                {shared.last_use, -shared.depth});
        }
        holding.keys.push_back(key);
        holding.table.blocks.push_back(shared.place);
    }
    std::vector<std::int64_t> needed(options_.capacity.size());
    for (std::int64_t block = holding.taken_over; block < num_blocks; ++block) {
        ++needed[static_cast<std::size_t>(owner(holding.policy, holding.home, block))];
    }
    if (!make_room(needed)) {
        ++clock_;
        for (BlockKey const& key : holding.keys) {
            Shared& shared = shared_.at(key);
            if (--shared.references == 0 && shared.filled) {
                make_idle(key, shared);
            }
        }
        return std::nullopt;
    }

    std::vector<std::vector<std::int64_t>> fresh(needed.size());
    std::vector<std::size_t> next(needed.size());
    for (std::size_t c = 0; c < needed.size(); ++c) {
        fresh[c] = allocators_[c].allocate(needed[c]);
    }
    for (std::int64_t block = holding.taken_over; block < num_blocks; ++block) {
        auto const c = static_cast<std::size_t>(owner(holding.policy, holding.home, block));
        BlockRef const place{static_cast<std::int64_t>(c), fresh[c][next[c]++]};
        holding.table.blocks.push_back(place);
        // Offer the block to later sequences, unless its content already lies elsewhere or the chain is broken.
        if (block == static_cast<std::int64_t>(holding.keys.size()) &&
            block < static_cast<std::int64_t>(request.prefix_keys.size())) {
            BlockKey const& key = request.prefix_keys[static_cast<std::size_t>(block)];
            forget_idle(key);
            bool const inserted =
                shared_.try_emplace(key, Shared{place, block, 1, request.sequence, false, 0})
                    .second;
            if (inserted) {
                holding.keys.push_back(key);
            }
        }
    }
    std::int64_t const taken_over = holding.taken_over;
    holding.filled_blocks = taken_over;
    holdings_.emplace(request.sequence, std::move(holding));
    return taken_over;
}

bool KvLedger::make_room(std::vector<std::int64_t> const& needed) {
    for (std::size_t c = 0; c < needed.size(); ++c) {
        if (needed[c] > allocators_[c].num_free() + static_cast<std::int64_t>(idle_[c].size())) {
            return false;
        }
    }
    for (std::size_t c = 0; c < needed.size(); ++c) {
        while (allocators_[c].num_free() < needed[c]) {
            evict_one(static_cast<std::int64_t>(c));
        }
    }
    return true;
}

void KvLedger::evict_one(std::int64_t coordinate) {
    auto& idle = idle_[static_cast<std::size_t>(coordinate)];
    LH_ASSERT(!idle.empty());
    BlockKey const key = idle.begin()->second;
    idle.erase(idle.begin());
    forget(key);
}

void KvLedger::forget(BlockKey const& key) {
    auto const entry = shared_.find(key);
    BlockRef const place = entry->second.place;
    shared_.erase(entry);
    allocators_[static_cast<std::size_t>(place.coordinate)].free(place.pool_block);
}

// What is left of an entry whose end was evicted, and was not enough to be taken over, makes way for the whole.
void KvLedger::forget_idle(BlockKey const& key) {
    auto const entry = shared_.find(key);
    if (entry == shared_.end() || entry->second.references > 0) {
        return;
    }
    Shared const& shared = entry->second;
    idle_[static_cast<std::size_t>(shared.place.coordinate)].erase(
        {shared.last_use, -shared.depth});
    forget(key);
}

void KvLedger::make_idle(BlockKey const& key, Shared& shared) {
    shared.last_use = clock_;
    idle_[static_cast<std::size_t>(shared.place.coordinate)].emplace(
        std::pair{clock_, -shared.depth}, key);
}

void KvLedger::mark_filled(SequenceId sequence, std::int64_t end) {
    Holding& holding = holdings_.at(sequence);
    std::int64_t const whole = end / options_.block_slots;
    for (; holding.filled_blocks < whole; ++holding.filled_blocks) {
        if (holding.filled_blocks >= static_cast<std::int64_t>(holding.keys.size())) {
            continue;
        }
        Shared& shared = shared_.at(holding.keys[static_cast<std::size_t>(holding.filled_blocks)]);
        if (shared.filler == sequence) {
            shared.filled = true;
            shared.filler = -1;
        }
    }
}

std::int64_t KvLedger::filled_frontier(SequenceId sequence) const {
    Holding const& holding = holdings_.at(sequence);
    std::int64_t block = 0;
    while (block < holding.taken_over &&
           shared_.at(holding.keys[static_cast<std::size_t>(block)]).filled) {
        ++block;
    }
    return block * options_.block_slots;
}

bool KvLedger::frontier_has_filler(SequenceId sequence) const {
    Holding const& holding = holdings_.at(sequence);
    std::int64_t const block = filled_frontier(sequence) / options_.block_slots;
    if (block >= holding.taken_over) {
        return false;
    }
    SequenceId const filler = shared_.at(holding.keys[static_cast<std::size_t>(block)]).filler;
    return filler >= 0 && filler != sequence;
}

void KvLedger::adopt_filling(SequenceId sequence, std::int64_t block) {
    Holding& holding = holdings_.at(sequence);
    holding.filled_blocks = std::min(holding.filled_blocks, block);
    for (std::int64_t b = block; b < holding.taken_over; ++b) {
        Shared& shared = shared_.at(holding.keys[static_cast<std::size_t>(b)]);
        if (!shared.filled) {
            shared.filler = sequence;
        }
    }
}

std::vector<BlockRef> KvLedger::release(SequenceId sequence, bool discard) {
    Holding const holding = std::move(holdings_.at(sequence));
    holdings_.erase(sequence);
    ++clock_;
    std::vector<BlockRef> freed;
    for (std::size_t b = 0; b < holding.table.blocks.size(); ++b) {
        BlockRef const place = holding.table.blocks[b];
        if (b >= holding.keys.size()) {
            allocators_[static_cast<std::size_t>(place.coordinate)].free(place.pool_block);
            freed.push_back(place);
            continue;
        }
        BlockKey const& key = holding.keys[b];
        Shared& shared = shared_.at(key);
        if (shared.filler == sequence) {
            shared.filler = -1;
        }
        if (--shared.references > 0) {
            continue;
        }
        if (shared.filled && !discard) {
            make_idle(key, shared);
        } else {
            forget(key);
            freed.push_back(place);
        }
    }
    return discard ? freed : std::vector<BlockRef>{};
}

BlockTable const& KvLedger::table(SequenceId sequence) const {
    return holdings_.at(sequence).table;
}
KvPolicy KvLedger::policy_of(SequenceId sequence) const { return holdings_.at(sequence).policy; }
std::int64_t KvLedger::home_of(SequenceId sequence) const { return holdings_.at(sequence).home; }
std::int64_t KvLedger::num_free(std::int64_t coordinate) const {
    auto const c = static_cast<std::size_t>(coordinate);
    return allocators_[c].num_free() + static_cast<std::int64_t>(idle_[c].size());
}

}  // namespace longhaul::schedule
