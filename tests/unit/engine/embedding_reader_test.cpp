#include "engine/embedding_reader.hpp"

#include "support/video_tokens/write_video_tokens.hpp"

#include <gtest/gtest.h>

#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <random>
#include <string>

namespace longhaul::engine {
namespace {

constexpr std::int64_t kWidth = 8;
constexpr std::int64_t kRows = 1000;
constexpr std::int64_t kTileRows = EmbeddingReader::kTileRows;

class EmbeddingReaderTest : public testing::Test {
  protected:
    EmbeddingReaderTest()
        : folder_(std::filesystem::temp_directory_path() /
                  ("longhaul-reader-" + std::to_string(getpid()))) {
        std::filesystem::create_directories(folder_);
    }
    ~EmbeddingReaderTest() override { std::filesystem::remove_all(folder_); }

    schedule::EmbeddingSpan write(std::string const& name, std::uint64_t seed) {
        test::VideoTokensSpec spec;
        spec.shape = {kRows, kWidth};
        spec.values = test::random_rows(seed, kRows * kWidth);
        test::write_video_tokens(spec, folder_ / name);
        io::FileStamp const stamp = io::stamp_of(folder_ / name);
        return {0, kRows, (folder_ / name).string(), 0, stamp.bytes, stamp.modified_ns, seed, 0};
    }

    static std::vector<float> expected(std::uint64_t seed, std::int64_t tile) {
        std::vector<float> const all = test::random_rows(seed, kRows * kWidth);
        std::int64_t const begin = tile * kTileRows;
        std::int64_t const end = std::min(begin + kTileRows, kRows);
        return {all.begin() + begin * kWidth, all.begin() + end * kWidth};
    }

    static bool all_nan(EmbeddingReader::Tile const& tile) {
        return !tile.empty() &&
               std::all_of(tile.begin(), tile.end(), [](float x) { return std::isnan(x); });
    }

    std::filesystem::path folder_;
};

TEST_F(EmbeddingReaderTest, GivesTheRowsInAnyOrder) {
    std::vector<schedule::EmbeddingSpan> spans;
    for (std::uint64_t seed = 0; seed < 10; ++seed) {  // more files than it keeps open
        spans.push_back(write(std::to_string(seed) + ".h5", seed));
    }
    std::mt19937_64 random(7);
    for (std::int64_t const capacity : {1, 3, 100}) {
        EmbeddingReader reader(kWidth, capacity);
        for (int i = 0; i < 200; ++i) {
            std::uint64_t const file = random() % spans.size();
            auto const tile = static_cast<std::int64_t>(random() % 16);
            if (i % 3 == 0) {
                reader.read_ahead(spans[random() % spans.size()],
                                  static_cast<std::int64_t>(random() % 16));
            }
            ASSERT_EQ(*reader.get(spans[file], tile), expected(file, tile))
                << "file " << file << " tile " << tile;
        }
    }
}

TEST_F(EmbeddingReaderTest, AnUnreadableFileGivesNanAndTheNextOneIsRead) {
    schedule::EmbeddingSpan const good = write("good.h5", 1);
    schedule::EmbeddingSpan missing = good;
    missing.file = (folder_ / "missing.h5").string();
    schedule::EmbeddingSpan changed = good;
    ++changed.file_modified_ns;
    EmbeddingReader reader(kWidth, 4);
    EXPECT_TRUE(all_nan(*reader.get(missing, 0)));
    EXPECT_TRUE(all_nan(*reader.get(changed, 2)));
    EXPECT_EQ(*reader.get(good, 2), expected(1, 2));
}

TEST_F(EmbeddingReaderTest, AFileThatIsReplacedStaysItselfForItsJobs) {
    schedule::EmbeddingSpan const before = write("v.h5", 1);
    EmbeddingReader reader(kWidth, 4);
    EXPECT_EQ(*reader.get(before, 0), expected(1, 0));
    schedule::EmbeddingSpan after = write("new.h5", 2);
    std::filesystem::last_write_time(
        after.file, std::filesystem::last_write_time(after.file) + std::chrono::seconds(2));
    std::filesystem::rename(after.file, before.file);
    after.file = before.file;
    after.file_modified_ns = io::stamp_of(after.file).modified_ns;
    EXPECT_EQ(*reader.get(before, 5), expected(1, 5));
    EXPECT_EQ(*reader.get(after, 5), expected(2, 5));
    EXPECT_TRUE(all_nan(*reader.get(before, 6))) << "opened again under the same name";
}

TEST_F(EmbeddingReaderTest, EndsWithRequestsOpen) {
    schedule::EmbeddingSpan const span = write("v.h5", 1);
    EmbeddingReader reader(kWidth, 100);
    for (std::int64_t tile = 0; tile < 16; ++tile) {
        reader.read_ahead(span, tile);
    }
}

}  // namespace
}  // namespace longhaul::engine
