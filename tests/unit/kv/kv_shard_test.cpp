#include "kv/kv_shard.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace longhaul::kv {
namespace {

using schedule::BlockTable;

TEST(KvShard, NeighbouringBlocksJoinIntoOneExtent) {
    BlockTable const table{{{0, 4}, {0, 5}, {0, 6}, {0, 9}}};
    KvShard const shard(table, 0, 64);
    std::vector<kernels::KvExtent> extents;

    shard.append_extents({0, 250}, extents);

    ASSERT_EQ(extents.size(), 2U);
    EXPECT_EQ(extents[0].block, 4);
    EXPECT_EQ(extents[0].count, 3);
    EXPECT_EQ(extents[0].slot_stride, 64);
    EXPECT_EQ(extents[1].block, 9);
    EXPECT_EQ(extents[1].first_slot, 192);
}

TEST(KvShard, StripedBlocksKeepTheirGlobalSlots) {
    BlockTable const table{{{0, 0}, {1, 0}, {0, 1}, {1, 1}, {0, 2}}};
    std::vector<kernels::KvExtent> extents;

    KvShard(table, 1, 128).append_extents({0, 600}, extents);

    ASSERT_EQ(extents.size(), 1U);
    EXPECT_EQ(extents[0].first_slot, 128);
    EXPECT_EQ(extents[0].count, 2);
    EXPECT_EQ(extents[0].slot_stride, 256);
}

TEST(KvShard, EveryBlockIsCoveredOnceWhateverTheTable) {
    std::mt19937 random(11);
    for (int round = 0; round < 200; ++round) {
        auto const kvp = static_cast<std::int64_t>(1 + random() % 4);
        BlockTable table;
        std::vector<std::int64_t> next(static_cast<std::size_t>(kvp), 0);
        for (int b = 0; b < 20; ++b) {
            auto const c = static_cast<std::size_t>(random() % static_cast<unsigned>(kvp));
            next[c] += 1 + static_cast<std::int64_t>(random() % 2);
            table.blocks.push_back({static_cast<std::int64_t>(c), next[c]});
        }
        auto const begin = static_cast<std::int64_t>(random() % 600);
        Range const slots{begin, begin + 1 + static_cast<std::int64_t>(random() % 600)};
        std::set<std::int64_t> seen;
        for (std::int64_t c = 0; c < kvp; ++c) {
            std::vector<kernels::KvExtent> extents;
            KvShard(table, c, 64).append_extents(slots, extents);
            for (kernels::KvExtent const& extent : extents) {
                for (std::int64_t i = 0; i < extent.count; ++i) {
                    std::int64_t const slot = extent.first_slot + i * extent.slot_stride;
                    auto const& place = table.blocks[static_cast<std::size_t>(slot / 64)];
                    EXPECT_EQ(place.coordinate, c);
                    EXPECT_EQ(place.pool_block, extent.block + i);
                    EXPECT_TRUE(seen.insert(slot).second);
                }
            }
        }
        EXPECT_EQ(seen.size(), static_cast<std::size_t>((slots.end + 63) / 64 - slots.begin / 64));
    }
}

TEST(KvShard, PlacesOnlyWhatItOwns) {
    BlockTable const table{{{0, 7}, {1, 3}}};
    EXPECT_EQ(KvShard(table, 1, 64).place(70).block, 3);
    EXPECT_EQ(KvShard(table, 1, 64).place(70).slot, 6);
    EXPECT_EQ(KvShard(table, 0, 64).place(70).block, -1);
}

}  // namespace
}  // namespace longhaul::kv
