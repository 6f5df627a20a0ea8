#include "schedule/kv_ledger.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

namespace longhaul::schedule {
namespace {

std::vector<BlockKey> keys(std::uint64_t document, std::int64_t count) {
    std::vector<BlockKey> result;
    for (std::int64_t i = 0; i < count; ++i) {
        result.push_back({document * 1000 + static_cast<std::uint64_t>(i), document});
    }
    return result;
}

KvLedger::Options options(std::vector<std::int64_t> capacity, KvPolicy policy = KvPolicy::striped) {
    return {64, policy, 2, std::move(capacity)};
}

KvRequest request(SequenceId id, std::int64_t slots, std::vector<BlockKey> const& prefix = {}) {
    return {id, slots, prefix, static_cast<std::int64_t>(prefix.size()), 1, 0};
}

TEST(KvLedger, StripedSpreadsBlocksEvenly) {
    KvLedger ledger(options({4, 4, 4}));

    ASSERT_EQ(ledger.admit(request(0, 64 * 7 + 1)), 0);

    BlockTable const& table = ledger.table(0);
    ASSERT_EQ(table.blocks.size(), 8U);
    for (std::size_t b = 0; b < table.blocks.size(); ++b) {
        EXPECT_EQ(table.blocks[b].coordinate, static_cast<std::int64_t>(b % 3));
    }
    EXPECT_EQ(ledger.num_free(0), 1);
    EXPECT_EQ(ledger.num_free(2), 2);
}

TEST(KvLedger, ShortSequencesLiveOnOneCoordinate) {
    KvLedger ledger(options({4, 4}, KvPolicy::automatic));
    KvRequest wanted = request(0, 128);
    wanted.placement_hash = 1;

    ASSERT_TRUE(ledger.admit(wanted).has_value());

    EXPECT_EQ(ledger.policy_of(0), KvPolicy::single);
    EXPECT_EQ(ledger.home_of(0), 1);
    EXPECT_EQ(ledger.table(0).blocks[1].coordinate, 1);
}

TEST(KvLedger, RefusesWithoutChangingAnythingAndFitsLater) {
    KvLedger ledger(options({2}));
    ASSERT_TRUE(ledger.admit(request(0, 128)).has_value());

    EXPECT_FALSE(ledger.admit(request(1, 1)).has_value());
    static_cast<void>(ledger.release(0, false));

    EXPECT_TRUE(ledger.admit(request(1, 128)).has_value());
    EXPECT_TRUE(ledger.can_ever_fit(128, 0));
    EXPECT_FALSE(ledger.can_ever_fit(129, 0));
}

TEST(KvLedger, SharesWholeBlocksOfTheSamePrefix) {
    KvLedger ledger(options({10}));
    std::vector<BlockKey> const document = keys(1, 3);
    ASSERT_EQ(ledger.admit(request(0, 64 * 4, document)), 0);
    ASSERT_EQ(ledger.admit(request(1, 64 * 5, document)), 3);

    EXPECT_EQ(ledger.num_free(0), 10 - 4 - 2);
    for (std::size_t b = 0; b < 3; ++b) {
        EXPECT_EQ(ledger.table(0).blocks[b], ledger.table(1).blocks[b]);
    }
    EXPECT_NE(ledger.table(0).blocks[3], ledger.table(1).blocks[3]);
    EXPECT_EQ(ledger.filled_frontier(1), 0);
    EXPECT_TRUE(ledger.frontier_has_filler(1));
    ledger.mark_filled(0, 130);
    EXPECT_EQ(ledger.filled_frontier(1), 128);
}

TEST(KvLedger, ADeadFillerIsReplaced) {
    KvLedger ledger(options({10}));
    std::vector<BlockKey> const document = keys(1, 3);
    static_cast<void>(ledger.admit(request(0, 256, document)));
    static_cast<void>(ledger.admit(request(1, 256, document)));
    ledger.mark_filled(0, 64);
    static_cast<void>(ledger.release(0, true));

    EXPECT_FALSE(ledger.frontier_has_filler(1));
    ledger.adopt_filling(1, 1);
    EXPECT_EQ(ledger.filled_frontier(1), 64);
    ledger.mark_filled(1, 192);

    EXPECT_EQ(ledger.filled_frontier(1), 192);
    ASSERT_EQ(ledger.admit(request(2, 256, document)), 3);
    EXPECT_EQ(ledger.filled_frontier(2), 192);
}

TEST(KvLedger, KeepsFilledPrefixesUntilRoomIsNeeded) {
    KvLedger ledger(options({4}));
    std::vector<BlockKey> const document = keys(1, 3);
    static_cast<void>(ledger.admit(request(0, 256, document)));
    ledger.mark_filled(0, 256);
    static_cast<void>(ledger.release(0, false));

    ASSERT_EQ(ledger.admit(request(1, 256, document)), 3);  // still there
    static_cast<void>(ledger.release(1, false));
    ASSERT_EQ(ledger.admit(request(2, 64 * 2)),
              0);  // takes the free block and evicts the deepest cached one
    ASSERT_EQ(ledger.admit(request(3, 64 * 2, keys(1, 2))), 2);
}

TEST(KvLedger, APartialMatchStartsOnlyWhereAChunkWould) {
    KvLedger ledger(options({20}));
    std::vector<BlockKey> document = keys(1, 5);
    static_cast<void>(ledger.admit(request(0, 64 * 6, document)));
    document[4].low = 77;  // another text from the fifth block on
    KvRequest wanted = request(1, 64 * 6, document);
    wanted.start_granularity_blocks = 3;

    EXPECT_EQ(ledger.admit(wanted), 3);
}

TEST(KvLedger, DiscardReturnsTheSequencesOwnBlocksForScrubbing) {
    KvLedger ledger(options({8}));
    std::vector<BlockKey> const document = keys(1, 2);
    static_cast<void>(ledger.admit(request(0, 64 * 3, document)));
    static_cast<void>(ledger.admit(request(1, 64 * 4, document)));
    ledger.mark_filled(0, 192);

    std::vector<BlockRef> const freed = ledger.release(1, true);

    EXPECT_EQ(freed.size(), 2U);  // its own two; the shared two are still in use
    EXPECT_EQ(ledger.num_free(0), 8 - 3);
}

// Random admissions and releases: no block is held by two sequences unless both share its key, and nothing leaks.
TEST(KvLedger, RandomUseKeepsItsInvariants) {
    std::mt19937 random(7);
    KvLedger ledger(options({23, 23, 23}, KvPolicy::automatic));
    std::map<SequenceId, std::uint64_t> live;  // -> document
    for (SequenceId id = 0; id < 3000; ++id) {
        std::uint64_t const document = random() % 5;
        auto const depth = static_cast<std::int64_t>(random() % 9);
        std::vector<BlockKey> const prefix = keys(document, depth);
        KvRequest wanted =
            request(id, 64 * depth + 1 + static_cast<std::int64_t>(random() % 300), prefix);
        wanted.placement_hash = document;
        if (ledger.admit(wanted)) {
            live.emplace(id, document);
            if (random() % 3 != 0) {
                ledger.mark_filled(id, 64 * depth);
            }
        }
        while (live.size() > 4 || (!live.empty() && random() % 3 == 0)) {
            auto victim = live.begin();
            std::advance(victim, random() % live.size());
            static_cast<void>(ledger.release(victim->first, random() % 4 == 0));
            live.erase(victim);
        }
        std::map<std::pair<std::int64_t, std::int64_t>, std::pair<std::uint64_t, std::size_t>>
            holders;
        for (auto const& [sequence, doc] : live) {
            BlockTable const& table = ledger.table(sequence);
            for (std::size_t b = 0; b < table.blocks.size(); ++b) {
                auto const [entry, fresh] = holders.try_emplace(
                    {table.blocks[b].coordinate, table.blocks[b].pool_block}, std::pair{doc, b});
                ASSERT_TRUE(fresh || entry->second == (std::pair{doc, b}))
                    << "block held by two sequences";
            }
        }
    }
    for (auto const& [sequence, document] : live) {
        static_cast<void>(ledger.release(sequence, false));
    }
    for (std::int64_t c = 0; c < 3; ++c) {
        EXPECT_EQ(ledger.num_free(c), 23);
    }
}

}  // namespace
}  // namespace longhaul::schedule
