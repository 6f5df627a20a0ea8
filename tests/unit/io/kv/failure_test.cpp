// A disk that is full, and writers that are given up.
#include "io/kv_master.hpp"
#include "io/kv_segment_reader.hpp"
#include "io/kv_segment_writer.hpp"
#include "support/file_size_limit.hpp"
#include "support/kv/segment_case.hpp"
#include "unit/io/queue/scratch_folder.hpp"

#include <gmock/gmock.h>

#include <fcntl.h>
#include <sys/mount.h>

namespace longhaul::io {
namespace {

using test::FileSizeLimit;
using test::make_segment_case;
using test::SegmentCase;
using testing::HasSubstr;

SegmentCase some_case(std::int64_t num_blocks) {
    std::mt19937_64 random(1);
    return make_segment_case(test::odd_shape(), num_blocks, random);
}

void expect_empty(ScratchFolder const& scratch) {
    EXPECT_TRUE(std::filesystem::is_empty(scratch / ""));
}

TEST(KvSegmentFailure, AWriterThatIsGivenUpLeavesNothing) {
    ScratchFolder const scratch;
    SegmentCase const segment = some_case(3);
    {
        KvSegmentWriter writer(scratch / "a.h5", segment.shape, segment.blocks);
        auto const spans = segment.spans();
        writer.add(0, std::span(spans).first(2));
        EXPECT_TRUE(std::filesystem::exists(scratch / "a.h5.tmp"));
        EXPECT_FALSE(std::filesystem::exists(scratch / "a.h5"));
    }
    expect_empty(scratch);
}

TEST(KvSegmentFailure, ALimitOfFileSizesIsNamed) {
    ScratchFolder const scratch;
    SegmentCase const segment = some_case(3);
    FileSizeLimit const limit(10'000);
    EXPECT_THAT(message_of<IoError>([&] {
                    write_kv_segment(scratch / "a.h5", segment.shape, segment.blocks,
                                     segment.spans());
                }),
                HasSubstr("ulimit -f"));
    expect_empty(scratch);
}

TEST(KvSegmentFailure, WritesThatFailLeaveNothing) {
    ScratchFolder const scratch;
    SegmentCase const segment = some_case(40);
    auto const spans = segment.spans();
    for (bool const at_the_end : {false, true}) {
        SCOPED_TRACE(at_the_end);
        KvSegmentWriter writer(scratch / "a.h5", segment.shape, segment.blocks);
        if (at_the_end) writer.add(0, spans);
        FileSizeLimit const limit(20'000);
        EXPECT_THAT(message_of<IoError>([&] {
                        at_the_end ? static_cast<void>(writer.finish()) : writer.add(0, spans);
                    }),
                    HasSubstr("File too large"));
        EXPECT_FALSE(std::filesystem::exists(scratch / "a.h5"));
    }
    expect_empty(scratch);
    write_kv_segment(scratch / "a.h5", segment.shape, segment.blocks, spans);
    EXPECT_EQ(KvSegmentReader(scratch / "a.h5").info().blocks, 40);
}

/// A disk of 256 KiB.
class SmallDisk {
  public:
    SmallDisk() {
        std::filesystem::create_directory(path());
        mounted_ = ::mount("tmpfs", path().c_str(), "tmpfs", 0, "size=256k") == 0;
    }
    SmallDisk(SmallDisk const&) = delete;
    SmallDisk& operator=(SmallDisk const&) = delete;
    ~SmallDisk() {
        if (mounted_) ::umount(path().c_str());
    }

    [[nodiscard]] bool mounted() const { return mounted_; }
    [[nodiscard]] std::filesystem::path path() const { return scratch_ / "disk"; }
    void fill() const {
        FileDescriptor const file(::open((path() / "fill").c_str(), O_WRONLY | O_CREAT, 0666));
        std::string const page(4096, 'x');
        while (write_all(file.get(), page) == 0) continue;
    }

  private:
    ScratchFolder scratch_;
    bool mounted_ = false;
};

TEST(KvSegmentFailure, AFullDiskLeavesNothing) {
    SmallDisk const disk;
    if (!disk.mounted()) GTEST_SKIP() << "needs the right to mount a small disk";
    SegmentCase const segment = some_case(40);
    EXPECT_THAT(message_of<IoError>([&] {
                    write_kv_segment(disk.path() / "a.h5", segment.shape, segment.blocks,
                                     segment.spans());
                }),
                HasSubstr("No space left on device; free some space"));
    EXPECT_TRUE(std::filesystem::is_empty(disk.path()));
    SegmentCase const small = some_case(2);
    {
        // The blocks have their room, the tables have not.
        KvSegmentWriter writer(disk.path() / "a.h5", small.shape, small.blocks);
        disk.fill();
        writer.add(0, small.spans());
        EXPECT_THAT(message_of<IoError>([&] { static_cast<void>(writer.finish()); }),
                    HasSubstr("No space left on device"));
    }
    std::filesystem::remove(disk.path() / "fill");
    EXPECT_TRUE(std::filesystem::is_empty(disk.path()));
    write_kv_segment(disk.path() / "a.h5", small.shape, small.blocks, small.spans());
    EXPECT_EQ(KvSegmentReader(disk.path() / "a.h5").info().blocks, 2);
}

TEST(KvSegmentFailure, AFolderThatIsNotThere) {
    SegmentCase const segment = some_case(1);
    EXPECT_THAT(message_of<IoError>(
                    [&] { KvSegmentWriter("/nowhere/a.h5", segment.shape, segment.blocks); }),
                HasSubstr("cannot create /nowhere/a.h5.tmp"));
}

TEST(KvMasterFailure, ALimitOfFileSizesIsNamed) {
    ScratchFolder const scratch;
    SegmentCase const segment = some_case(3);
    std::vector<KvMasterSegment> const segments = {{"a.h5", segment.shape, segment.blocks}};
    std::vector<KvMasterSequence> const sequences = {{"a", {segment.blocks[0].key}}};
    FileSizeLimit const limit(1000);
    EXPECT_THROW(write_kv_master(scratch / "m.h5", segments, sequences), IoError);
    expect_empty(scratch);
}

}  // namespace
}  // namespace longhaul::io
