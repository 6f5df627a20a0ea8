#include "schedule/block_allocator.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

namespace longhaul::schedule {
namespace {

TEST(BlockAllocator, PrefersTheSmallestRunThatFits) {
    BlockAllocator pool(10);
    std::vector<std::int64_t> const first = pool.allocate(3);   // 0 1 2
    std::vector<std::int64_t> const second = pool.allocate(2);  // 3 4
    EXPECT_EQ(first, (std::vector<std::int64_t>{0, 1, 2}));
    for (std::int64_t const block : first) {
        pool.free(block);
    }

    EXPECT_EQ(pool.allocate(3),
              (std::vector<std::int64_t>{0, 1, 2}));  // the hole of 3, not the tail of 5
    EXPECT_EQ(pool.allocate(5), (std::vector<std::int64_t>{5, 6, 7, 8, 9}));
    EXPECT_EQ(second, (std::vector<std::int64_t>{3, 4}));
}

TEST(BlockAllocator, JoinsPiecesWhenNoRunIsLongEnough) {
    BlockAllocator pool(6);
    static_cast<void>(pool.allocate(6));
    for (std::int64_t const block : {0, 2, 3, 5}) {
        pool.free(block);
    }

    std::vector<std::int64_t> blocks = pool.allocate(4);

    EXPECT_EQ(blocks[0], 2);  // the largest run first
    std::sort(blocks.begin(), blocks.end());
    EXPECT_EQ(blocks, (std::vector<std::int64_t>{0, 2, 3, 5}));
    EXPECT_EQ(pool.num_free(), 0);
}

TEST(BlockAllocator, RandomUseNeverHandsABlockOutTwice) {
    std::mt19937 random(20261124);
    BlockAllocator pool(97);
    std::set<std::int64_t> used;
    for (int round = 0; round < 2000; ++round) {
        if (random() % 2 == 0) {
            auto const count = static_cast<std::int64_t>(random() % 12);
            if (count <= pool.num_free()) {
                for (std::int64_t const block : pool.allocate(count)) {
                    EXPECT_TRUE(used.insert(block).second);
                }
            }
        } else if (!used.empty()) {
            auto it = used.begin();
            std::advance(it, random() % used.size());
            pool.free(*it);
            used.erase(it);
        }
        ASSERT_EQ(pool.num_free() + static_cast<std::int64_t>(used.size()), 97);
    }
    for (std::int64_t const block : used) {
        pool.free(block);
    }
    EXPECT_EQ(pool.allocate(97).size(), 97U);
}

TEST(BlockAllocatorDeathTest, FreeingTwiceIsABrokenContract) {
    BlockAllocator pool(4);
    static_cast<void>(pool.allocate(2));
    pool.free(0);
    EXPECT_DEATH(pool.free(0), "broken precondition");
}

}  // namespace
}  // namespace longhaul::schedule
