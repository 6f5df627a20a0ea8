#include "comm/grid_shape.hpp"

#include "base/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace longhaul::comm {
namespace {

using ::testing::HasSubstr;
using Asked = std::optional<std::int64_t>;

constexpr Asked kLeftOut = std::nullopt;

ModelConfig model_with(std::int64_t num_layers, std::int64_t num_kv_heads) {
    ModelConfig model;
    model.num_layers = num_layers;
    model.num_kv_heads = num_kv_heads;
    model.num_heads = 3 * num_kv_heads;
    return model;
}

ModelConfig const kSmall = model_with(30, 3);

std::string refusal(std::int64_t world, Asked replicas, Asked spp, Asked kvp, Asked tp,
                    ModelConfig const& model = kSmall) {
    try {
        auto const shape = resolve_grid(world, replicas, spp, kvp, tp, model);
        return "accepted: " + shape.to_string();
    } catch (ValidationError const& error) {
        return error.what();
    }
}

TEST(GridShape, TensorParallelRanksAreNeighbours) {
    GridShape const shape{2, 3, 4, 5};
    EXPECT_EQ(coord_of(shape, 0), (GridCoord{0, 0, 0, 0}));
    EXPECT_EQ(coord_of(shape, 1), (GridCoord{0, 0, 0, 1}));
    EXPECT_EQ(coord_of(shape, 5), (GridCoord{0, 0, 1, 0}));
    EXPECT_EQ(coord_of(shape, 20), (GridCoord{0, 1, 0, 0}));
    EXPECT_EQ(coord_of(shape, 60), (GridCoord{1, 0, 0, 0}));
    EXPECT_EQ(shape.product(), 120);
}

TEST(GridShape, RankAndCoordinateAreInverse) {
    for (GridShape const& shape :
         {GridShape{1, 1, 1, 1}, GridShape{2, 3, 4, 5}, GridShape{1, 7, 1, 2}}) {
        std::set<std::int64_t> seen;
        for (std::int64_t rank = 0; rank < shape.product(); ++rank) {
            auto const coord = coord_of(shape, rank);
            EXPECT_EQ(rank_of(shape, coord), rank);
            seen.insert(((coord.replica * 100 + coord.spp) * 100 + coord.kvp) * 100 + coord.tp);
        }
        EXPECT_EQ(std::ssize(seen), shape.product());
    }
}

TEST(ResolveGrid, LeftOutAxesAreOneAndReplicasFillTheRanks) {
    EXPECT_EQ(resolve_grid(8, kLeftOut, kLeftOut, kLeftOut, kLeftOut, kSmall),
              (GridShape{8, 1, 1, 1}));
    EXPECT_EQ(resolve_grid(8, kLeftOut, 2, kLeftOut, kLeftOut, kSmall), (GridShape{4, 2, 1, 1}));
    EXPECT_EQ(resolve_grid(8, kLeftOut, 2, 2, 2, kSmall), (GridShape{1, 2, 2, 2}));
    EXPECT_EQ(resolve_grid(1, kLeftOut, kLeftOut, kLeftOut, kLeftOut, kSmall),
              (GridShape{1, 1, 1, 1}));
    EXPECT_EQ(resolve_grid(6, 2, 3, 1, 1, kSmall), (GridShape{2, 3, 1, 1}));
}

TEST(ResolveGrid, RanksThatReplicasLeaveOverGoToTpThenKvpThenSpp) {
    EXPECT_EQ(resolve_grid(8, 1, kLeftOut, kLeftOut, kLeftOut, kSmall), (GridShape{1, 1, 4, 2}));
    EXPECT_EQ(resolve_grid(12, 1, kLeftOut, kLeftOut, kLeftOut, kSmall), (GridShape{1, 1, 4, 3}));
    EXPECT_EQ(resolve_grid(8, 1, kLeftOut, 1, kLeftOut, kSmall), (GridShape{1, 4, 1, 2}));
    EXPECT_EQ(resolve_grid(8, 1, kLeftOut, 1, 1, kSmall), (GridShape{1, 8, 1, 1}));
    EXPECT_EQ(resolve_grid(8, 2, kLeftOut, kLeftOut, 1, kSmall), (GridShape{2, 1, 4, 1}));
}

TEST(ResolveGrid, AnyGridWhoseProductDividesTheRanksWorks) {
    // Heads and layers need not divide evenly.
    EXPECT_EQ(resolve_grid(8, kLeftOut, 4, 1, 2, kSmall), (GridShape{1, 4, 1, 2}));
    EXPECT_EQ(resolve_grid(21, kLeftOut, 7, kLeftOut, 3, kSmall), (GridShape{1, 7, 1, 3}));
    EXPECT_EQ(resolve_grid(30, kLeftOut, 30, kLeftOut, kLeftOut, kSmall), (GridShape{1, 30, 1, 1}));
    EXPECT_EQ(resolve_grid(64, kLeftOut, kLeftOut, 64, kLeftOut, kSmall), (GridShape{1, 1, 64, 1}));
}

TEST(ResolveGrid, AProductThatDoesNotDivideTheRanksListsWhatFits) {
    auto const message = refusal(8, kLeftOut, 3, kLeftOut, 2);
    EXPECT_THAT(message, HasSubstr("the grid --spp 3 --tp 2 does not divide the 8 ranks"));
    EXPECT_THAT(message, HasSubstr("--spp 1|2|4"));
    EXPECT_THAT(refusal(4, kLeftOut, 16, kLeftOut, kLeftOut), HasSubstr("--spp 1|2|4"));
    EXPECT_THAT(refusal(6, kLeftOut, 4, 5, kLeftOut), HasSubstr("product is one of 1, 2, 3, 6"));
}

TEST(ResolveGrid, AllAxesGivenMustFillTheRanks) {
    auto const message = refusal(8, 1, 2, 2, 1);
    EXPECT_THAT(message, HasSubstr("leaves 4 of 8 ranks without work"));
    EXPECT_THAT(message, HasSubstr("--replicas 2, or --spp 4, or --kvp 4, or --tp 2"));
}

TEST(ResolveGrid, MoreTpThanKvHeadsProposesKvp) {
    auto const message = refusal(8, kLeftOut, kLeftOut, 2, 4);
    EXPECT_THAT(message, HasSubstr("--tp 4 is more than the 3 KV heads"));
    EXPECT_THAT(message, HasSubstr("--tp 2 --kvp 4"));
    EXPECT_THAT(refusal(9, kLeftOut, kLeftOut, kLeftOut, 9), HasSubstr("--tp 3 --kvp 3"));
}

TEST(ResolveGrid, MoreStagesThanLayersIsRefused) {
    EXPECT_THAT(refusal(32, kLeftOut, 32, kLeftOut, kLeftOut),
                HasSubstr("--spp 32 is more than the 30 layers of the model"));
    EXPECT_THAT(refusal(8, 1, kLeftOut, 1, 1, model_with(5, 3)),
                HasSubstr("8 is more than the 5 layers"));
}

TEST(ResolveGrid, HostileNumbers) {
    for (std::int64_t const number : {std::int64_t{0}, std::int64_t{-1}, INT64_MIN}) {
        EXPECT_THAT(refusal(4, kLeftOut, number, kLeftOut, kLeftOut),
                    HasSubstr("is not a number of ranks"));
        EXPECT_THAT(refusal(4, number, kLeftOut, kLeftOut, kLeftOut), HasSubstr("--replicas"));
    }
    EXPECT_THAT(refusal(4, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX),
                HasSubstr("does not divide"));
    EXPECT_THAT(refusal(4, kLeftOut, std::int64_t{1} << 32, std::int64_t{1} << 32, kLeftOut),
                HasSubstr("does not divide"));
}

TEST(ResolveGrid, ExplainsEachAxis) {
    EXPECT_EQ(explain({2, 2, 1, 2}, kLeftOut, 2, kLeftOut, 2),
              "grid of 8 ranks: replicas 2 (default) x spp 2 x kvp 1 (default) x tp 2");
    EXPECT_EQ(explain({1, 1, 1, 1}, 1, 1, 1, 1),
              "grid of 1 rank: replicas 1 x spp 1 x kvp 1 x tp 1");
}

}  // namespace
}  // namespace longhaul::comm
