#include "io/hdf5.hpp"
#include "io/kv_master.hpp"
#include "io/kv_segment_layout.hpp"
#include "io/kv_segment_writer.hpp"
#include "support/kv/segment_case.hpp"
#include "unit/io/queue/scratch_folder.hpp"

#include <gmock/gmock.h>

#include <algorithm>

namespace longhaul::io {
namespace {

using test::make_segment_case;
using test::SegmentCase;
using testing::HasSubstr;

KvSegmentShape model_shape() {
    KvSegmentShape shape = test::odd_shape(DType::f32);
    shape.num_layers = 3;
    shape.num_kv_heads = 5;
    shape.layers = {0, 3};
    shape.kv_heads = {0, 5};
    return shape;
}

// The whole cache, and its cut over 2 stages x 2 head groups x 2 owners of blocks (striped), a segment each.
struct Grid {
    ScratchFolder scratch;
    SegmentCase whole;
    std::vector<KvMasterSegment> segments;
    std::vector<BlockKey> keys;

    explicit Grid(std::int64_t num_blocks) {
        std::mt19937_64 random(1);
        whole = make_segment_case(model_shape(), num_blocks, random);
        for (auto const& block : whole.blocks) keys.push_back(block.key);
        for (Range const layers : {Range{0, 2}, Range{2, 3}}) {
            for (Range const heads : {Range{0, 3}, Range{3, 5}}) {
                for (std::size_t owner = 0; owner < 2; ++owner) write(layers, heads, owner);
            }
        }
    }

    void write(Range layers, Range heads, std::size_t owner) {
        KvSegmentShape shape = whole.shape;
        shape.layers = layers;
        shape.kv_heads = heads;
        KvMasterSegment segment{fmt::format("rank%b{}.h5", segments.size()), shape, {}};
        std::vector<std::vector<std::byte>> data;
        for (std::size_t block = owner; block < whole.blocks.size(); block += 2) {
            segment.blocks.push_back(whole.blocks[block]);
            auto& bytes = data.emplace_back();
            for (std::int64_t layer = layers.begin; layer < layers.end; ++layer) {
                for (KvPart const part : {KvPart::key, KvPart::value}) {
                    for (std::int64_t head = heads.begin; head < heads.end; ++head) {
                        auto const piece = whole.piece(block, layer, head, part);
                        bytes.insert(bytes.end(), piece.begin(), piece.end());
                    }
                }
            }
        }
        std::vector<std::span<std::byte const>> const spans(data.begin(), data.end());
        write_kv_segment(scratch / segment.file, shape, segment.blocks, spans);
        segments.push_back(std::move(segment));
    }

    // One block of one head as the master shows it.
    [[nodiscard]] std::vector<std::byte> shown(std::string const& sequence, std::int64_t layer,
                                               std::int64_t head, std::int64_t block,
                                               KvPart part) const {
        Hdf5File const master(scratch / "master.h5");
        std::string const name =
            "/" + sequence + "/" + detail::layer_name(layer) + "/" + detail::part_name(part);
        std::vector<std::int64_t> count = master.dataset(name).dims;
        count[0] = count[1] = 1;
        std::vector<std::byte> out(static_cast<std::size_t>(head_block_bytes(whole.shape, part)));
        master.read(name, {head, block, 0, 0}, count, out);
        return out;
    }
};

TEST(KvMaster, ShowsTheCacheOfAllRanks) {
    Grid const grid(7);
    write_kv_master(grid.scratch / "master.h5", grid.segments,
                    std::vector<KvMasterSequence>{{"a", grid.keys}, {"empty", {}}});
    Hdf5File const master(grid.scratch / "master.h5");
    EXPECT_EQ(master.integer("/a", "num_blocks"), 7);
    EXPECT_EQ(master.integer("/a", "num_slots"), 6 * 16 + grid.whole.blocks.back().slots);
    EXPECT_EQ(master.integer("/a", "missing_blocks"), 0);
    EXPECT_EQ(master.integer("/empty", "num_blocks"), 0);
    EXPECT_EQ(master.text("/", "dtype"), "f32");
    for (std::int64_t layer = 0; layer < 3; ++layer) {
        for (std::int64_t head = 0; head < 5; ++head) {
            for (std::int64_t block = 0; block < 7; ++block) {
                for (KvPart const part : {KvPart::key, KvPart::value}) {
                    ASSERT_TRUE(std::ranges::equal(
                        grid.shown("a", layer, head, block, part),
                        grid.whole.piece(static_cast<std::size_t>(block), layer, head, part)))
                        << layer << ' ' << head << ' ' << block;
                }
            }
        }
    }
}

TEST(KvMaster, WhatIsMissingReadsAsZero) {
    Grid grid(6);
    std::vector<BlockKey> keys = grid.keys;
    keys.push_back({1, 2});                          // in no segment
    std::swap(keys[0], keys[3]);                     // an order that is no run
    grid.segments.erase(grid.segments.begin() + 1);  // layers 0-1, heads 0-2, odd blocks
    write_kv_master(grid.scratch / "master.h5", grid.segments,
                    std::vector<KvMasterSequence>{{"b/../100%", keys}});
    std::string const name = "b%2F%2E%2E%2F100%25";
    Hdf5File const master(grid.scratch / "master.h5");
    EXPECT_EQ(master.text("/" + name, "name"), "b/../100%");
    EXPECT_EQ(master.integer("/" + name, "missing_blocks"), 4);
    std::vector<std::byte> const zeros(
        static_cast<std::size_t>(head_block_bytes(grid.whole.shape, KvPart::key)));
    EXPECT_EQ(grid.shown(name, 0, 0, 6, KvPart::key), zeros);
    EXPECT_EQ(grid.shown(name, 0, 0, 1, KvPart::key), zeros);
    EXPECT_TRUE(std::ranges::equal(grid.shown(name, 0, 4, 1, KvPart::key),
                                   grid.whole.piece(1, 0, 4, KvPart::key)));
    EXPECT_TRUE(std::ranges::equal(grid.shown(name, 2, 1, 0, KvPart::value),
                                   grid.whole.piece(3, 2, 1, KvPart::value)));
    // A segment whose file is gone reads as zero too: HDF5 says nothing, and the program never reads a master.
    std::filesystem::remove(grid.scratch / grid.segments.front().file);
    EXPECT_EQ(grid.shown(name, 0, 0, 2, KvPart::key), zeros);
}

TEST(KvMaster, SegmentsOfTwoModelsAreRefused) {
    Grid grid(2);
    grid.segments[1].shape.model = "another";
    EXPECT_THAT(message_of<ValidationError>(
                    [&] { write_kv_master(grid.scratch / "master.h5", grid.segments, {}); }),
                HasSubstr("not of one model"));
    EXPECT_FALSE(std::filesystem::exists(grid.scratch / "master.h5"));
}

}  // namespace
}  // namespace longhaul::io
