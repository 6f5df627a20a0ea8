#include "model/partition.hpp"

#include <gtest/gtest.h>

namespace longhaul::model {
namespace {

ModelConfig smollm2() {
    ModelConfig config;
    config.num_layers = 30;
    config.hidden_dim = 576;
    config.num_heads = 9;
    config.num_kv_heads = 3;
    config.head_dim = 64;
    config.ffn_dim = 1536;
    config.vocab_size = 49157;  // not divisible
    return config;
}

TEST(Partition, HeadsGoInWholeGroups) {
    Partition const first = make_partition(smollm2(), {1, 1, 2, 0, 0, 0}, 512);
    Partition const second = make_partition(smollm2(), {1, 1, 2, 0, 0, 1}, 512);
    EXPECT_EQ(first.kv_heads, (Range{0, 2}));
    EXPECT_EQ(first.heads, (Range{0, 6}));
    EXPECT_EQ(second.heads, (Range{6, 9}));
}

// Every weight belongs to exactly one rank of a stage, whatever the grid; slices meet multiples of 8.
TEST(Partition, RanksOfAStageCoverTheModelOnce) {
    ModelConfig const config = smollm2();
    for (std::int64_t kvp : {1, 2, 3, 4}) {
        for (std::int64_t tp : {1, 2, 3}) {
            std::vector<int> projection(
                static_cast<std::size_t>(config.num_heads * config.head_dim));
            std::vector<int> ffn(static_cast<std::size_t>(config.ffn_dim));
            std::vector<int> vocab(static_cast<std::size_t>(config.vocab_size));
            auto const mark = [](std::vector<int>& used, Range range) {
                for (std::int64_t i = range.begin; i < range.end; ++i) {
                    ++used[static_cast<std::size_t>(i)];
                }
            };
            for (std::int64_t k = 0; k < kvp; ++k) {
                for (std::int64_t t = 0; t < tp; ++t) {
                    Partition const part = make_partition(config, {1, kvp, tp, 0, k, t}, 512);
                    auto const own = static_cast<std::size_t>(k);
                    mark(projection, part.projection[own]);
                    mark(ffn, part.ffn[own]);
                    mark(vocab, part.vocab);
                    EXPECT_EQ(part.projection[own].begin % 8, 0);
                    EXPECT_EQ(part.ffn[own].begin % 8, 0);
                }
            }
            for (std::vector<int> const* used : {&projection, &ffn, &vocab}) {
                for (int const times : *used) {
                    ASSERT_EQ(times, 1) << "kvp " << kvp << " tp " << tp;
                }
            }
        }
    }
}

TEST(CutStages, BalancesLayersAndTheHead) {
    EXPECT_EQ(cut_stages(30, 4, 0.0).back().size(), 8);
    for (std::int64_t spp : {1, 2, 3, 5, 30}) {
        std::vector<Range> const stages = cut_stages(30, spp, 0.5);
        ASSERT_EQ(static_cast<std::int64_t>(stages.size()), spp);
        std::int64_t next = 0;
        for (Range const& stage : stages) {
            EXPECT_EQ(stage.begin, next);
            EXPECT_GE(stage.size(), 1);
            next = stage.end;
        }
        EXPECT_EQ(next, 30);
    }
    EXPECT_EQ(cut_stages(30, 2, 10.0).back().size(), 10);  // the head weighs ten layers
}

TEST(WeightBytes, ShardedStorageSumsToOneModel) {
    ModelConfig const config = smollm2();
    std::int64_t sharded = 0;
    std::int64_t replicated = 0;
    for (std::int64_t k = 0; k < 2; ++k) {
        Partition const part = make_partition(config, {1, 2, 1, 0, k, 0}, 512);
        sharded += weight_bytes(config, part, k, WeightStorage::sharded, DType::bf16);
        replicated += weight_bytes(config, part, k, WeightStorage::replicated, DType::bf16);
    }
    // Replicated: both hold both slices of projection and FFN.
    std::int64_t const slices = config.num_layers * 2 * config.hidden_dim *
                                (config.num_heads * config.head_dim + 3 * config.ffn_dim);
    EXPECT_EQ(replicated - sharded, slices);
}

}  // namespace
}  // namespace longhaul::model
