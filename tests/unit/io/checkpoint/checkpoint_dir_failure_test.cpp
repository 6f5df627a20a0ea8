#include "base/error.hpp"
#include "io/checkpoint_dir.hpp"
#include "support/file_size_limit.hpp"
#include "unit/io/checkpoint/checkpoint_support.hpp"

#include <gmock/gmock.h>

#include <sys/resource.h>
#include <cerrno>
#include <csignal>

namespace longhaul::io {
namespace {

using test::FileSizeLimit;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Fails where it is told to.
class FailingChanges : public FolderChanges {
  public:
    void write(std::filesystem::path const& path, std::string_view content) override {
        FolderChanges::write(path, content);
        if (fail_after_write) throw_io_error(path, "sync", EIO);
    }
    int remove(std::filesystem::path const& path) override {
        return fail_remove ? EACCES : FolderChanges::remove(path);
    }
    void sync(std::filesystem::path const& folder) override {
        if (fail_sync) throw_io_error(folder, "sync", EIO);
        FolderChanges::sync(folder);
    }

    bool fail_after_write = false;
    bool fail_remove = false;
    bool fail_sync = false;
};

class CheckpointDirFailure : public testing::Test {
  protected:
    CheckpointDirFailure() { dir_.start_run(); }

    void commit(std::int64_t epoch, std::size_t num_scores = 10) {
        SavedSequence sequence;
        sequence.job_id = "a";
        sequence.position = epoch;
        sequence.scores.assign(num_scores, 1.0F);
        dir_.commit(make_manifest({1, epoch, 0}, {sequence},
                                  {make_segment(folder_, {1, 0, 0, 0, 0, epoch})}));
    }
    [[nodiscard]] LoadedCheckpoint load() const { return load_checkpoint(folder_, kIdentity); }

    ScratchFolder scratch_;
    std::filesystem::path folder_ = scratch_ / "checkpoint";
    FailingChanges changes_;
    CheckpointDir dir_{folder_, kIdentity, OldCheckpoint::resume, changes_};
};

TEST_F(CheckpointDirFailure, OnAFullDiskTheOldStateStays) {
    for (std::int64_t const epoch : {1, 2, 3}) commit(epoch);
    auto before = names_in(folder_);
    {
        FileSizeLimit const limit(4000);
        EXPECT_THAT(message_of<IoError>([&] { commit(4, 10'000); }),
                    HasSubstr("manifest-r1-p0-e4.json"));
    }
    before.insert("segments/r1-p0-s0k0t0-4.h5");
    EXPECT_EQ(names_in(folder_), before);
    EXPECT_EQ(load().sequences.at("a").sequence.position, 3);
    EXPECT_THAT(load().problems, IsEmpty());
    commit(5, 10'000);
    EXPECT_EQ(load().sequences.at("a").sequence.position, 5);
    EXPECT_EQ(num_manifests(folder_), 2);
}

TEST_F(CheckpointDirFailure, AnEpochThatIsNotDurableDoesNotExist) {
    commit(1);
    changes_.fail_after_write = true;
    EXPECT_THROW(commit(2), IoError);
    changes_.fail_after_write = false;
    EXPECT_EQ(load().sequences.at("a").sequence.position, 1);
    commit(3);
    EXPECT_EQ(load().sequences.at("a").sequence.position, 3);
}

TEST_F(CheckpointDirFailure, GarbageThatCannotBeRemovedIsTriedAgain) {
    commit(1);
    changes_.fail_remove = true;
    for (std::int64_t const epoch : {2, 3, 4}) commit(epoch);
    EXPECT_EQ(num_manifests(folder_), 4);
    EXPECT_EQ(load().segments.size(),
              4U);  // those of manifests that could not be removed stay as well
    EXPECT_THAT(load().problems, IsEmpty());
    changes_.fail_remove = false;
    commit(5);
    EXPECT_EQ(num_manifests(folder_), 2);
    EXPECT_EQ(names_in(segments_folder(folder_)).size(), 2U);
}

TEST_F(CheckpointDirFailure, SegmentsStayUntilTheirManifestsAreGoneForSure) {
    commit(1);
    commit(2);
    changes_.fail_sync = true;
    commit(3);
    EXPECT_EQ(num_manifests(folder_), 2);
    EXPECT_EQ(names_in(segments_folder(folder_)).size(), 3U);
    changes_.fail_sync = false;
    commit(4);
    EXPECT_EQ(names_in(segments_folder(folder_)).size(), 2U);
}

TEST(CheckpointDirStart, AFolderInTheWayIsRefused) {
    ScratchFolder const scratch;
    scratch.write("checkpoint", "a file");
    EXPECT_THAT(message_of<ValidationError>([&] {
                    CheckpointDir const dir(scratch / "checkpoint", kIdentity,
                                            OldCheckpoint::resume);
                }),
                HasSubstr("cannot make the checkpoint folder"));
}

TEST(CheckpointDirStart, ARunThatCannotBeCountedDoesNotStart) {
    ScratchFolder const scratch;
    CheckpointDir dir(scratch / "checkpoint", kIdentity, OldCheckpoint::resume);
    {
        FileSizeLimit const limit(1);
        EXPECT_THROW(dir.start_run(), IoError);
    }
    EXPECT_EQ(dir.start_run(), 1);
    EXPECT_THAT(names_in(scratch / "checkpoint"), ElementsAre("lock", "runs"));
}

}  // namespace
}  // namespace longhaul::io
