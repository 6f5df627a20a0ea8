// Merging segments keeps every needed block to the last bit; what goes wrong leaves everything as it was.
#include "engine/segment_compaction.hpp"

#include "io/kv_segment_reader.hpp"
#include "io/kv_segment_writer.hpp"
#include "support/file_size_limit.hpp"
#include "support/kv/segment_case.hpp"
#include "unit/io/queue/scratch_folder.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <unordered_map>

namespace longhaul::engine {
namespace {

namespace fs = std::filesystem;
using test::SegmentCase;

class Compaction : public testing::Test {
  protected:
    Compaction() { RecordProperty("seed", std::to_string(seed_)); }

    /// A source with random content whose blocks are of the whole range of numbers.
    void add_source(io::KvSegmentShape const& shape, std::int64_t num_blocks) {
        SegmentCase source = test::make_segment_case(shape, num_blocks, random_);
        for (io::KvSegmentBlock& block : source.blocks) {
            block.block = static_cast<std::int64_t>(random_() % 1000);
        }
        write(std::move(source));
    }

    void write(SegmentCase source) {
        std::string const name = "source" + std::to_string(sources_.size()) + ".h5";
        task_.sources.push_back(
            io::write_kv_segment(folder_ / name, source.shape, source.blocks, source.spans()));
        for (std::size_t i = 0; i < source.blocks.size(); ++i) {
            content_[source.blocks[i].key] = {source.blocks[i], source.data[i]};
        }
        sources_.push_back(std::move(source));
    }

    void need_some() {
        for (auto const& [key, content] : content_) {
            if (random_() % 3 != 0 || task_.keys.empty()) {
                task_.keys.push_back(key);
            }
        }
    }

    CompactDone run() {
        return compact_segments(folder_ / "", sources_.front().shape, task_, stop_);
    }

    /// The files of the folder with their bytes.
    [[nodiscard]] std::map<std::string, std::string> files() const {
        std::map<std::string, std::string> all;
        for (auto const& entry : fs::directory_iterator(folder_ / "")) {
            std::ifstream file(entry.path(), std::ios::binary);
            all[entry.path().filename()] = {std::istreambuf_iterator<char>(file), {}};
        }
        return all;
    }

    void expect_whole(CompactDone const& done) {
        ASSERT_EQ(done.failure, "");
        io::KvSegmentReader const reader(folder_ / task_.name);
        EXPECT_EQ(reader.info(), done.info);
        EXPECT_EQ(reader.shape(), sources_.front().shape);
        ASSERT_EQ(reader.blocks().size(), task_.keys.size()) << "and no dead block";
        std::set<std::uint64_t> seen;
        std::vector<std::byte> bytes(static_cast<std::size_t>(io::block_bytes(reader.shape())));
        for (std::size_t i = 0; i < reader.blocks().size(); ++i) {
            auto const& [block, data] = content_.at(reader.blocks()[i].key);
            EXPECT_TRUE(seen.insert(block.key.low).second);
            EXPECT_EQ(reader.blocks()[i], block);
            ASSERT_TRUE(reader.read_block(static_cast<std::int64_t>(i), bytes));
            EXPECT_EQ(bytes, data);
        }
    }

    struct Content {
        io::KvSegmentBlock block;
        std::vector<std::byte> data;
    };
    std::uint64_t seed_ = std::random_device()();
    std::mt19937_64 random_{seed_};
    io::ScratchFolder folder_;
    CompactTask task_{"merged.h5", {}, {}, false};
    std::vector<SegmentCase> sources_;
    std::unordered_map<BlockKey, Content, BlockKeyHash> content_;
    std::atomic<bool> stop_ = false;
};

TEST_F(Compaction, KeepsWhatIsNeededAndNothingElse) {
    for (int round = 0; round < 20; ++round) {
        SCOPED_TRACE(testing::Message() << "seed " << seed_ << ", round " << round);
        io::KvSegmentShape shape = test::odd_shape(round % 2 == 0 ? DType::bf16 : DType::f32);
        if (round % 5 == 0) shape.value_dim = 0;
        sources_.clear();
        content_.clear();
        task_ = {"merged" + std::to_string(round) + ".h5", {}, {}, round % 3 == 0};
        for (std::uint64_t source = 0; source < 2 + random_() % 5; ++source) {
            add_source(shape, 1 + static_cast<std::int64_t>(random_() % 9));
        }
        need_some();
        expect_whole(run());
        if (task_.one_sequence) {
            io::KvSegmentReader const reader(folder_ / task_.name);
            EXPECT_TRUE(
                std::is_sorted(reader.blocks().begin(), reader.blocks().end(),
                               [](auto const& a, auto const& b) { return a.block < b.block; }));
        }
    }
}

TEST_F(Compaction, GoesThroughManyBatches) {
    io::KvSegmentShape const shape = test::odd_shape(DType::f32);
    for (std::int64_t const blocks : {7, 19, 25, 40}) {
        add_source(shape, blocks);
    }
    need_some();
    for (std::int64_t const blocks : {0, 1, 2, 5, 64}) {
        task_.name = "merged" + std::to_string(blocks) + ".h5";
        task_.batch_bytes = blocks * io::block_bytes(shape) + 1;
        expect_whole(run());
    }
    EXPECT_EQ(files()["merged0.h5"], files()["merged64.h5"]);
}

TEST_F(Compaction, ABlockThatIsInSeveralSourcesIsTakenOnce) {
    add_source(test::odd_shape(), 5);
    SegmentCase again = sources_[0];
    again.blocks.erase(again.blocks.begin());
    again.data.erase(again.data.begin());
    write(std::move(again));
    need_some();
    expect_whole(run());
}

TEST_F(Compaction, ADamagedSourceIsNamedAndNothingChanges) {
    for (int i = 0; i < 4; ++i) {
        add_source(test::odd_shape(), 6);
    }
    for (auto const& [key, content] : content_) {
        task_.keys.push_back(key);
    }
    {
        std::fstream file(folder_ / "source2.h5", std::ios::in | std::ios::out | std::ios::binary);
        auto const size = static_cast<std::streamoff>(task_.sources[2].bytes);
        for (std::streamoff at = size / 4; at < size * 3 / 4; at += 64) {
            file.seekp(at);
            file.put(static_cast<char>(random_()));
        }
    }
    auto const before = files();
    CompactDone const done = run();
    EXPECT_NE(done.failure.find("source2.h5"), std::string::npos) << done.failure;
    EXPECT_EQ(done.damaged, std::optional<std::size_t>(2)) << "seed " << seed_;
    EXPECT_EQ(files(), before);
    fs::remove(folder_ / "source1.h5");
    EXPECT_EQ(run().damaged, std::optional<std::size_t>(1));
}

TEST_F(Compaction, AnotherSegmentInASourcesPlaceIsNoSource) {
    add_source(test::odd_shape(), 6);
    add_source(test::odd_shape(), 6);
    need_some();
    fs::copy_file(folder_ / "source0.h5", folder_ / "source1.h5",
                  fs::copy_options::overwrite_existing);
    auto const before = files();
    EXPECT_EQ(run().damaged, std::optional<std::size_t>(1));
    EXPECT_EQ(files(), before);
}

TEST_F(Compaction, AFullDiskLeavesEverythingAsItWas) {
    for (int i = 0; i < 4; ++i) {
        add_source(test::odd_shape(), 30);
    }
    need_some();
    auto const before = files();
    {
        test::FileSizeLimit const limit(200'000);
        CompactDone const done = run();
        EXPECT_NE(done.failure, "");
        EXPECT_FALSE(done.damaged);
    }
    EXPECT_EQ(files(), before);
    expect_whole(run());
}

TEST_F(Compaction, StopsWhenItIsTold) {
    add_source(test::odd_shape(), 6);
    add_source(test::odd_shape(), 6);
    need_some();
    auto const before = files();
    stop_ = true;
    CompactDone const done = run();
    EXPECT_TRUE(done.stopped);
    EXPECT_EQ(done.failure, "");
    EXPECT_EQ(files(), before);
}

}  // namespace
}  // namespace longhaul::engine
