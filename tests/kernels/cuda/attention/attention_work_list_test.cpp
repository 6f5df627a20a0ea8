// The planner without a GPU: a work list is walked on the host as the kernels walk it, and must give the reference's
// results.

#include "kernels/cuda/attention_work_list.hpp"

#include "kernels/cuda/attention/random_attention.hpp"
#include "kernels/reference/load_element.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace longhaul::kernels::cuda {
namespace {

using test::AttentionCase;
using test::AttentionRange;
using test::AttentionResult;

constexpr float kNothing = -std::numeric_limits<float>::infinity();

/// Walks a work list in double precision.
class HostWalk {
  public:
    HostWalk(AttentionCase const& attention, WorkListShape const& shape,
             AttentionWorkList const& work)
        : attention_(attention),
          layout_(attention.layout()),
          shape_(shape),
          work_(work),
          partial_out_(work.partial_rows * layout_.value_dim),
          partial_lse_(work.partial_rows, std::nanf("")) {
        AttentionArgs const args = attention.args();
        result_.out.assign(args.num_rows * args.num_heads * layout_.value_dim, std::nanf(""));
        result_.lse.assign(args.num_rows * args.num_heads, std::nanf(""));
    }

    AttentionResult run() {
        for (TileList const* list : {&work_.wide, &work_.narrow}) {
            for (AttentionTile const& tile : list->tiles) {
                for (std::int32_t row = 0; row < tile.packed_rows; ++row) {
                    attend(tile, row);
                }
            }
        }
        for (CombineRow const& row : work_.combine_rows) {
            for (std::int64_t head = 0; head < attention_.num_heads(); ++head) {
                combine(row, head);
            }
        }
        return result_;
    }

  private:
    std::int64_t group() const { return attention_.shape().group; }

    float load(std::byte const* block, std::int64_t offset) const {
        return reference::load_element(layout_.dtype, block + offset);
    }

    double score(std::int64_t row, std::int64_t head, std::byte const* block,
                 std::int64_t slot) const {
        double sum = 0.0;
        for (std::int64_t dim = 0; dim < layout_.key_dim; ++dim) {
            std::int64_t const element =
                (row * attention_.num_heads() + head) * layout_.key_dim + dim;
            sum += double{load(attention_.queries().data(), element * dtype_bytes(layout_.dtype))} *
                   load(block, layout_.key_offset(head / group(), slot, dim));
        }
        return sum * attention_.args().scale;
    }

    void attend(AttentionTile const& tile, std::int32_t local) {
        std::int32_t const packed = tile.packed_begin + local;
        std::int64_t const index = tile.first_row + packed / group();
        std::int64_t const row = work_.rows[index];
        std::int64_t const head = tile.kv_head * group() + packed % group();
        std::int64_t const seen = work_.visible[index];
        EXPECT_LE(tile.min_visible, seen);
        std::int64_t const piece_slots = shape_.piece_slots();
        std::int64_t const block_pieces = layout_.block_slots / piece_slots;
        std::vector<double> values(layout_.value_dim, 0.0);
        double sum = 0.0;
        std::int64_t const pieces = tile.num_kv_tiles * (shape_.tile_slots / piece_slots);
        for (std::int64_t i = 0; i < pieces; ++i) {
            KvPiece const& piece = work_.pieces.at(tile.first_piece + i);
            std::byte const* block =
                attention_.pool().data() + piece.index / block_pieces * layout_.block_bytes();
            for (std::int64_t s = piece.lo; s < piece.hi; ++s) {
                if (piece.masked != 0 && piece.first_slot + s >= seen) {
                    continue;
                }
                std::int64_t const slot = piece.index % block_pieces * piece_slots + s;
                double const weight = std::exp(score(row, head, block, slot));
                sum += weight;
                for (std::int64_t dim = 0; dim < layout_.value_dim; ++dim) {
                    values[dim] +=
                        weight * load(block, layout_.value_offset(tile.kv_head, slot, dim));
                }
            }
        }
        std::int64_t const place = row * attention_.num_heads() + head;
        std::int64_t const at = tile.partial < 0 ? place : tile.partial + local;
        auto& out = tile.partial < 0 ? result_.out : partial_out_;
        auto& lse = tile.partial < 0 ? result_.lse : partial_lse_;
        ASSERT_TRUE(std::isnan(lse[at])) << "written twice";
        lse[at] = sum == 0.0 ? kNothing : static_cast<float>(std::log(sum));
        for (std::int64_t dim = 0; dim < layout_.value_dim; ++dim) {
            out[at * layout_.value_dim + dim] =
                sum == 0.0 ? 0.0F : static_cast<float>(values[dim] / sum);
        }
    }

    void combine(CombineRow const& row, std::int64_t head) {
        double sum = 0.0;
        std::vector<double> values(layout_.value_dim, 0.0);
        for (std::int32_t i = 0; i < row.count; ++i) {
            RowPlace const& place = work_.places.at(row.first + i);
            std::int64_t const packed = place.row * group() + head % group();
            std::int64_t const row_tile = packed / place.tile_rows;
            TileParts const& tile =
                work_.tile_parts.at(place.first_tile + head / group() * place.row_tiles + row_tile);
            if (tile.splits == 0) {
                ASSERT_EQ(row.count, 1);
                return;
            }
            for (std::int64_t part = 0; part < tile.splits; ++part) {
                std::int64_t const at =
                    tile.base + part * tile.packed_rows + packed - row_tile * place.tile_rows;
                ASSERT_FALSE(std::isnan(partial_lse_.at(at))) << "nobody wrote it";
                double const weight = std::exp(double{partial_lse_[at]});
                sum += weight;
                for (std::int64_t dim = 0; dim < layout_.value_dim; ++dim) {
                    values[dim] += weight * partial_out_[at * layout_.value_dim + dim];
                }
            }
        }
        std::int64_t const result = std::int64_t{row.row} * attention_.num_heads() + head;
        ASSERT_TRUE(std::isnan(result_.lse[result])) << "written twice";
        result_.lse[result] = sum == 0.0 ? kNothing : static_cast<float>(std::log(sum));
        for (std::int64_t dim = 0; dim < layout_.value_dim; ++dim) {
            result_.out[result * layout_.value_dim + dim] =
                sum == 0.0 ? 0.0F : static_cast<float>(values[dim] / sum);
        }
    }

    AttentionCase const& attention_;
    KvLayout layout_;
    WorkListShape const& shape_;
    AttentionWorkList const& work_;
    AttentionResult result_;
    std::vector<float> partial_out_;
    std::vector<float> partial_lse_;
};

WorkListShape random_shape(AttentionCase const& attention, bool fixed_splits,
                           std::mt19937_64& random) {
    WorkListShape shape;
    shape.layout = attention.layout();
    shape.num_heads = attention.num_heads();
    shape.tile_slots = std::int64_t{32} << test::pick(random, 0, 2);
    shape.fixed_splits = fixed_splits;
    std::int64_t const fixed = fixed_splits ? test::pick(random, 1, 4) : 0;
    shape.wide = {test::pick(random, 1, 70),
                  {test::pick(random, 1, 40), 1, fixed},
                  test::pick(random, 0, 1) == 0};
    if (!fixed_splits && test::pick(random, 0, 1) == 0) {
        shape.narrow = {16, {test::pick(random, 1, 40), 1, 0}, test::pick(random, 0, 1) == 0};
    }
    return shape;
}

class AttentionWorkListTest : public ::testing::TestWithParam<bool> {};

TEST_P(AttentionWorkListTest, WalkedAsTheKernelsDoItGivesTheReference) {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        AttentionRange range;
        range.dtype = DType::f32;
        range.dim = 8;
        range.max_rows = 20;
        range.max_history = 400;
        AttentionCase const attention = random_attention(range, seed);
        std::mt19937_64 random(seed);
        WorkListShape const shape = random_shape(attention, GetParam(), random);
        AttentionWorkList work(shape);
        work.build(attention.shape().num_rows, attention.items());
        work.build(attention.shape().num_rows, attention.items());  // memory used again
        test::expect_close(attention, HostWalk(attention, shape, work).run(),
                           attention.run_reference());
        if (HasFatalFailure()) {
            return;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Splits, AttentionWorkListTest, ::testing::Bool(),
                         [](auto const& test) { return test.param ? "fixed" : "filling"; });

TEST(AttentionWorkList, ChainsTheItemsOfOneSequence) {
    AttentionCase attention({.num_rows = 3, .pool_blocks = 8}, 1);
    attention.add_item({0, 1, 2}, {{0, 2, 0, 64}}, 0, 128);
    attention.add_item({0, 1, 2}, {{2, 2, 128, 64}}, 128, 200);
    attention.add_item({0, 1, 2}, {{2, 2, 128, 64}}, 200, 203, {201, 202, 203});
    WorkListShape shape;
    shape.layout = attention.layout();
    shape.num_heads = 1;
    shape.wide.schedule.num_ctas = 1;
    AttentionWorkList work(shape);
    work.build(3, attention.items());
    ASSERT_EQ(work.wide.tiles.size(), 1U);
    EXPECT_EQ(work.wide.tiles[0].num_kv_tiles, 5);
    EXPECT_EQ(work.wide.tiles[0].min_visible, 201);
    EXPECT_EQ(work.wide.tiles[0].partial, -1);
    EXPECT_TRUE(work.combine_rows.empty());
}

TEST(AttentionWorkList, LeavesOutWhatTheRowsOfATileDoNotSee) {
    AttentionCase attention({.num_rows = 256, .pool_blocks = 4}, 1);
    std::vector<std::int32_t> rows(256);
    std::vector<std::int64_t> visible(256);
    std::iota(rows.begin(), rows.end(), 0);
    std::iota(visible.begin(), visible.end(), 1);
    attention.add_item(rows, {{0, 4, 0, 64}}, 0, 256, visible);
    WorkListShape shape;
    shape.layout = attention.layout();
    shape.num_heads = 1;
    shape.wide.schedule = {4, 8, 0};
    AttentionWorkList work(shape);
    work.build(256, attention.items());
    std::multiset<std::int32_t> lengths;
    for (AttentionTile const& tile : work.wide.tiles) {
        lengths.insert(tile.num_kv_tiles);
    }
    EXPECT_EQ(lengths, (std::multiset<std::int32_t>{1, 2, 3, 4}));
}

TEST(AttentionWorkList, IsBuiltFastForMillionsOfTokens) {
    WorkListShape shape;
    shape.layout = {DType::bf16, 128, 8, 128, 128, KvPacking::rows};
    shape.num_heads = 32;
    shape.tile_slots = 128;
    shape.wide = {128, {132, 8, 0}, true};
    std::vector<std::int32_t> rows(8192);
    std::iota(rows.begin(), rows.end(), 0);
    std::vector<std::int64_t> visible(8192);
    std::iota(visible.begin(), visible.end(), 1'000'001);
    std::vector<KvExtent> const extents{{0, 8192, 0, 128}};
    std::vector<AttentionItem> const items{{rows, extents, 0, 1'000'000, {}},
                                           {rows, extents, 1'000'000, 1'008'192, visible}};
    AttentionWorkList work(shape);
    work.build(8192, items);
    auto const begin = std::chrono::steady_clock::now();
    work.build(8192, items);
    std::chrono::duration<double, std::milli> const taken =
        std::chrono::steady_clock::now() - begin;
    RecordProperty("build_ms", std::to_string(taken.count()));
    EXPECT_LT(taken.count(), 50.0);  // about 1 ms; sanitizers and a busy machine take longer
    EXPECT_EQ(work.partial_rows == 0, work.combine_rows.empty());
}

}  // namespace
}  // namespace longhaul::kernels::cuda
