#include "io/kv_segment_reader.hpp"
#include "io/kv_segment_writer.hpp"
#include "support/kv/segment_case.hpp"
#include "unit/io/queue/scratch_folder.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <thread>

namespace longhaul::io {
namespace {

using test::make_segment_case;
using test::odd_shape;
using test::SegmentCase;
using testing::HasSubstr;

KvSegmentInfo write(std::filesystem::path const& path, SegmentCase const& segment) {
    return write_kv_segment(path, segment.shape, segment.blocks, segment.spans());
}

// Every piece of every block, alone, in runs and whole.
void expect_content(KvSegmentReader const& reader, SegmentCase const& segment) {
    ASSERT_EQ(reader.shape(), segment.shape);
    ASSERT_EQ(reader.blocks(), segment.blocks);
    KvSegmentShape const& shape = segment.shape;
    std::vector<std::byte> out;
    for (KvPart const part : detail::stored_parts(shape)) {
        auto const size = static_cast<std::size_t>(head_block_bytes(shape, part));
        for (std::int64_t layer = shape.layers.begin; layer < shape.layers.end; ++layer) {
            for (std::int64_t head = shape.kv_heads.begin; head < shape.kv_heads.end; ++head) {
                out.resize(size * segment.blocks.size());
                auto const count = static_cast<std::int64_t>(segment.blocks.size());
                ASSERT_EQ(reader.read_run(0, count, layer, head, part, out), count);
                for (std::size_t block = 0; block < segment.blocks.size(); ++block) {
                    auto const expected = segment.piece(block, layer, head, part);
                    auto const run = std::span(out).subspan(block * size, size);
                    ASSERT_TRUE(std::ranges::equal(run, expected)) << layer << ' ' << head;
                }
                std::size_t const some = segment.blocks.size() / 2;
                auto const one = std::span(out).first(size);
                ASSERT_TRUE(reader.read(static_cast<std::int64_t>(some), layer, head, part, one));
                ASSERT_TRUE(std::ranges::equal(one, segment.piece(some, layer, head, part)));
            }
        }
    }
    out.resize(static_cast<std::size_t>(block_bytes(shape)));
    for (std::size_t block = 0; block < segment.blocks.size(); ++block) {
        ASSERT_TRUE(reader.read_block(static_cast<std::int64_t>(block), out));
        ASSERT_EQ(out, segment.data[block]);
    }
}

TEST(KvSegment, RoundTripsOfOddSizes) {
    ScratchFolder const scratch;
    std::mt19937_64 random(1);
    for (DType const dtype : {DType::f32, DType::bf16}) {
        for (std::int64_t const num_blocks : {1, 2, 3, 7, 65, 200}) {
            for (std::int64_t const dim : {8, 40, 256}) {
                if (num_blocks * dim > 20'000) continue;
                SCOPED_TRACE(fmt::format("{} {} {}", dtype_name(dtype), num_blocks, dim));
                KvSegmentShape shape = odd_shape(dtype);
                shape.key_dim = dim;
                shape.layers = {0, 2};
                SegmentCase const segment = make_segment_case(shape, num_blocks, random);
                KvSegmentInfo const info = write(scratch / "a.h5", segment);
                EXPECT_EQ(info.name, "a.h5");
                EXPECT_EQ(info.blocks, num_blocks);
                EXPECT_EQ(std::cmp_equal(std::filesystem::file_size(scratch / "a.h5"), info.bytes),
                          true);
                KvSegmentReader const reader(scratch / "a.h5");
                EXPECT_EQ(reader.info(), info);
                expect_content(reader, segment);
                EXPECT_FALSE(std::filesystem::exists(scratch / "a.h5.tmp"));
            }
        }
    }
}

TEST(KvSegment, ManyChunks) {
    // A block of a head takes 128 KiB: chunks of 8 to 32 blocks, several a row, the last one padded; aligned to 1 MiB.
    ScratchFolder const scratch;
    std::mt19937_64 random(2);
    KvSegmentShape shape = odd_shape();
    shape.block_slots = 256;
    shape.key_dim = 256;
    shape.value_dim = 16;
    shape.layers = {5, 6};
    SegmentCase const segment = make_segment_case(shape, 67, random);
    write(scratch / "a.h5", segment);
    Hdf5Dataset const keys = Hdf5File(scratch / "a.h5").dataset("/layer_00005/key");
    EXPECT_EQ(keys.address % (1 << 20), 0);
    ASSERT_EQ(keys.chunk.size(), 4U);
    EXPECT_GE(keys.chunk[1], 8);
    EXPECT_LE(keys.chunk[1], 32);
    expect_content(KvSegmentReader(scratch / "a.h5"), segment);
}

TEST(KvSegment, ValuesInsideTheKeysAreNotStored) {
    ScratchFolder const scratch;
    std::mt19937_64 random(3);
    KvSegmentShape shape = odd_shape();
    shape.value_dim = 0;
    SegmentCase const segment = make_segment_case(shape, 5, random);
    write(scratch / "a.h5", segment);
    EXPECT_FALSE(Hdf5File(scratch / "a.h5").has("/layer_00001/value"));
    expect_content(KvSegmentReader(scratch / "a.h5"), segment);
}

TEST(KvSegment, BlocksMayComeInAnyOrder) {
    ScratchFolder const scratch;
    std::mt19937_64 random(4);
    SegmentCase const segment = make_segment_case(odd_shape(), 9, random);
    KvSegmentInfo const whole = write(scratch / "whole.h5", segment);
    KvSegmentWriter writer(scratch / "pieces.h5", segment.shape, segment.blocks);
    auto const spans = segment.spans();
    writer.add(6, std::span(spans).subspan(6, 3));
    writer.add(0, std::span(spans).first(1));
    writer.add(1, std::span(spans).subspan(1, 5));
    KvSegmentInfo const pieces = writer.finish();
    EXPECT_EQ(pieces.checksum, whole.checksum);
    // Equal content gives equal bytes, whenever and however it was written.
    EXPECT_EQ(scratch.read("pieces.h5"), scratch.read("whole.h5"));
}

TEST(KvSegment, ASmallSegmentStaysSmall) {
    ScratchFolder const scratch;
    std::mt19937_64 random(5);
    SegmentCase const segment = make_segment_case(odd_shape(), 1, random);
    EXPECT_LT(write(scratch / "a.h5", segment).bytes, block_bytes(segment.shape) + 32'000);
}

TEST(KvSegment, ChunksAreFullBlocksOfUpToFourMiB) {
    std::int64_t const mib = 1 << 20;
    EXPECT_EQ(detail::choose_chunk_blocks(16 << 10, 1), 1);
    EXPECT_EQ(detail::choose_chunk_blocks(16 << 10, 256), 256);
    EXPECT_EQ(detail::choose_chunk_blocks(16 << 10, 512), 256);
    EXPECT_EQ(detail::choose_chunk_blocks(8 * mib, 10), 1);
    for (std::int64_t blocks = 1; blocks < 3000; blocks += 7) {
        std::int64_t const chunk = detail::choose_chunk_blocks(16 << 10, blocks);
        EXPECT_LE(chunk * (16 << 10), 4 * mib);
        if (blocks > 256) {
            EXPECT_GE(chunk * (16 << 10), mib);
        }
        EXPECT_LT(round_up(blocks, chunk) * 100, blocks * 102) << blocks << ' ' << chunk;
    }
}

TEST(KvSegment, ImpossibleShapesAreRefused) {
    ScratchFolder const scratch;
    std::mt19937_64 random(6);
    SegmentCase const segment = make_segment_case(odd_shape(), 1, random);
    auto const refusal = [&](auto change) {
        KvSegmentShape shape = segment.shape;
        change(shape);
        return message_of<ValidationError>(
            [&] { KvSegmentWriter(scratch / "a.h5", shape, segment.blocks); });
    };
    EXPECT_EQ(refusal([](KvSegmentShape&) {}), "");
    EXPECT_THAT(refusal([](auto& shape) { shape.layers = {2, 2}; }), HasSubstr("layers"));
    EXPECT_THAT(refusal([](auto& shape) { shape.layers = {4, 7}; }), HasSubstr("layers"));
    EXPECT_THAT(refusal([](auto& shape) { shape.kv_heads = {-1, 2}; }), HasSubstr("KV heads"));
    EXPECT_THAT(refusal([](auto& shape) { shape.model.clear(); }), HasSubstr("fingerprint"));
    EXPECT_THAT(refusal([](auto& shape) { shape.block_slots = 0; }), HasSubstr("slots"));
    EXPECT_THAT(refusal([](auto& shape) { shape.key_dim = 0; }), HasSubstr("keys"));
    EXPECT_THAT(refusal([](auto& shape) { shape.value_dim = -1; }), HasSubstr("values"));
    EXPECT_TRUE(std::filesystem::is_empty(scratch / ""));
}

TEST(KvSegment, ThreadsDoNotMeet) {
    // Ranks are threads in some tests, and a rank writes while it reads: HDF5 itself could not take that.
    ScratchFolder const scratch;
    std::vector<std::thread> threads;
    std::vector<int> sound(4);
    for (std::size_t t = 0; t < sound.size(); ++t) {
        threads.emplace_back([&scratch, &sound, t] {
            std::mt19937_64 random(t);
            for (int turn = 0; turn < 8; ++turn) {
                SegmentCase const segment = make_segment_case(odd_shape(), 3, random);
                auto const path = scratch / fmt::format("{}.h5", t);
                write(path, segment);
                KvSegmentReader const reader(path);
                std::vector<std::byte> out(segment.data[2].size());
                bool const same = reader.blocks() == segment.blocks && reader.read_block(2, out) &&
                                  out == segment.data[2];
                sound[t] += same ? 1 : 0;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_THAT(sound, testing::Each(8));
}

TEST(KvSegment, AMissingFileIsNamed) {
    EXPECT_THAT(message_of<ValidationError>([] { KvSegmentReader("/nowhere/a.h5"); }),
                HasSubstr("/nowhere/a.h5"));
    EXPECT_THAT(message_of<ValidationError>([] { KvSegmentReader("/tmp"); }),
                HasSubstr("not a plain file"));
}

}  // namespace
}  // namespace longhaul::io
