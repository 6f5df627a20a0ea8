#include "io/kv_coverage.hpp"

#include "support/kv/store_case.hpp"

#include <gtest/gtest.h>

namespace longhaul::io {
namespace {

class Coverage : public testing::Test {
  protected:
    Coverage() {
        for (std::int64_t block = 0; block < 5; ++block) {
            keys_.push_back({static_cast<std::uint64_t>(100 + block), 7});
            blocks_.push_back({keys_.back(), block, block == 4 ? 1 : 4});
        }
    }

    // Every rank of a grid adds its part, but for one.
    std::string missing_without(std::int64_t stage, std::int64_t tp) {
        KvCoverage coverage(keys_, test::store_shape());
        for (std::int64_t s = 0; s < 3; ++s) {
            for (std::int64_t t = 0; t < 3; ++t) {
                KvSegmentShape shape = test::store_shape();
                shape.layers = {s, s + 1};
                shape.kv_heads = {t, t + 1};
                if (s == stage && t == tp) continue;
                EXPECT_TRUE(coverage.add(shape, blocks_));
            }
        }
        return coverage.missing();
    }

    std::vector<BlockKey> keys_;
    std::vector<KvSegmentBlock> blocks_;
};

TEST_F(Coverage, NeedsEveryLayerAndHead) {
    EXPECT_EQ(missing_without(-1, -1), "");
    EXPECT_EQ(missing_without(1, 2),
              "5 of 5 blocks are missing or not whole, beginning with layer 1, KV head 2 of block "
              "0");
}

TEST_F(Coverage, NeedsEveryBlockWholeAndInItsPlace) {
    auto const missing = [&](auto change) {
        std::vector<KvSegmentBlock> blocks = blocks_;
        change(blocks);
        KvCoverage coverage(keys_, test::store_shape());
        coverage.add(test::store_shape(), blocks);
        return coverage.missing();
    };
    EXPECT_EQ(missing([](auto& b) { std::swap(b[0], b[3]); }), "") << "any order in the file";
    EXPECT_NE(missing([](auto& b) { b.erase(b.begin() + 3); }), "");
    EXPECT_NE(missing([](auto& b) { b[3].slots = 3; }), "") << "only the last one may be open";
    EXPECT_NE(missing([](auto& b) { b[3].block = 4; }), "");
    EXPECT_NE(missing([](auto& b) { b[3].key.high ^= 1; }), "");
}

TEST_F(Coverage, KnowsWhatIsNewAndWhatIsForeign) {
    KvCoverage coverage(keys_, test::store_shape());
    KvSegmentShape half = test::store_shape();
    half.layers = {0, 2};
    EXPECT_TRUE(coverage.add(half, blocks_));
    EXPECT_FALSE(coverage.add(half, blocks_)) << "nothing new";
    EXPECT_TRUE(coverage.add(test::store_shape(), blocks_)) << "another layer";
    EXPECT_EQ(coverage.missing(), "");
    EXPECT_EQ(coverage.num_foreign(blocks_), 0);
    blocks_.push_back({{1, 1}, 0, 4});
    EXPECT_EQ(coverage.num_foreign(blocks_), 1);
}

TEST_F(Coverage, LeavesOutWhatIsNotSound) {
    KvCoverage coverage(keys_, test::store_shape());
    auto const all_but = [](std::int64_t row, std::int64_t layer, std::int64_t head) {
        return row != 2 || layer != 1 || head != 0;
    };
    EXPECT_TRUE(coverage.add(test::store_shape(), blocks_, all_but));
    EXPECT_EQ(coverage.missing(),
              "1 of 5 blocks are missing or not whole, beginning with layer 1, KV head 0 of block "
              "2");
    EXPECT_FALSE(coverage.add(test::store_shape(), {})) << "nothing of it";
}

}  // namespace
}  // namespace longhaul::io
