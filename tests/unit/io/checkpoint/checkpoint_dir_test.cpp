#include "io/checkpoint_dir.hpp"

#include "base/error.hpp"
#include "io/manifest_format.hpp"
#include "unit/io/checkpoint/checkpoint_support.hpp"

#include <gmock/gmock.h>

namespace longhaul::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

SavedSequence sequence_of(std::string id, std::int64_t position) {
    SavedSequence sequence;
    sequence.job_id = std::move(id);
    sequence.position = position;
    return sequence;
}

class CheckpointDirTest : public testing::Test {
  protected:
    [[nodiscard]] CheckpointDir open(OldCheckpoint old = OldCheckpoint::resume) const {
        return CheckpointDir(folder_, kIdentity, old);
    }
    [[nodiscard]] KvSegmentInfo segment(std::int64_t run, std::int64_t replica,
                                        std::int64_t number) const {
        return make_segment(folder_, {run, replica, 0, 0, 0, number});
    }
    [[nodiscard]] LoadedCheckpoint load() const { return load_checkpoint(folder_, kIdentity); }

    ScratchFolder scratch_;
    std::filesystem::path folder_ = scratch_ / "checkpoint";
};

TEST_F(CheckpointDirTest, NothingThereIsAnEmptyCheckpoint) {
    EXPECT_THAT(load().sequences, IsEmpty());
    EXPECT_THAT(load().problems, IsEmpty());
    EXPECT_FALSE(std::filesystem::exists(folder_));
}

TEST_F(CheckpointDirTest, RunsAreCountedAcrossStarts) {
    for (std::int64_t run = 1; run < 4; ++run) EXPECT_EQ(open().start_run(), run);
    scratch_.write("checkpoint/runs", "7\n");
    EXPECT_EQ(open().start_run(), 8);
    scratch_.write("checkpoint/runs", "7x");
    static_cast<void>(segment(20, 0, 0));
    EXPECT_EQ(open().start_run(), 21);
    EXPECT_EQ(open(OldCheckpoint::discard).start_run(), 22);
}

TEST_F(CheckpointDirTest, TheYoungestManifestOfASequenceWins) {
    {
        CheckpointDir dir = open();
        dir.start_run();
        dir.commit(make_manifest({1, 10, 0}, {sequence_of("a", 10), sequence_of("b", 1)}, {}));
        dir.commit(make_manifest({1, 90, 1}, {sequence_of("c", 90)}, {}));
        dir.commit(make_manifest({1, 20, 0}, {sequence_of("a", 20), sequence_of("b", 2)}, {}));
    }
    {
        CheckpointDir dir = open();
        EXPECT_EQ(dir.saved().sequences.at("a").sequence.position, 20);
        EXPECT_EQ(dir.saved().sequences.at("c").from, (EpochId{1, 90, 1}));
        dir.start_run();
        dir.commit(make_manifest({2, 1, 0}, {sequence_of("c", 95)}, {}));
    }
    LoadedCheckpoint const loaded = load();
    EXPECT_EQ(loaded.sequences.at("a").sequence.position, 20);
    EXPECT_EQ(loaded.sequences.at("b").sequence.position, 2);
    EXPECT_EQ(loaded.sequences.at("c").sequence.position, 95);
    EXPECT_EQ(loaded.sequences.at("c").from, (EpochId{2, 1, 0}));
    EXPECT_EQ(loaded.sequences.at("c").options, "chunk 512");
    EXPECT_EQ(loaded.sequences.at("c").grid, (GridInfo{2, 1, 2, 1}));
}

TEST_F(CheckpointDirTest, TwoEpochsOfAReplicaAreKept) {
    CheckpointDir dir = open();
    dir.start_run();
    for (std::int64_t epoch = 1; epoch < 6; ++epoch) {
        for (std::int64_t replica = 0; replica < 2; ++replica) {
            dir.commit(make_manifest(
                {1, epoch, replica}, {sequence_of("a" + std::to_string(replica), epoch)},
                {segment(1, replica, epoch), make_segment(folder_, {1, replica, 1, 0, 0, 0})}));
        }
    }
    EXPECT_THAT(
        names_in(folder_),
        UnorderedElementsAre("lock", "runs", "manifest-r1-p0-e4.json", "manifest-r1-p0-e5.json",
                             "manifest-r1-p1-e4.json", "manifest-r1-p1-e5.json",
                             "segments/r1-p0-s0k0t0-4.h5", "segments/r1-p0-s0k0t0-5.h5",
                             "segments/r1-p0-s1k0t0-0.h5", "segments/r1-p1-s0k0t0-4.h5",
                             "segments/r1-p1-s0k0t0-5.h5", "segments/r1-p1-s1k0t0-0.h5"));
}

TEST_F(CheckpointDirTest, AnOlderRunStaysUntilItsSequencesAreSavedTwiceOrHaveResults) {
    {
        CheckpointDir dir = open();
        dir.start_run();
        dir.commit(make_manifest({1, 5, 0}, {sequence_of("a", 1), sequence_of("b", 1)},
                                 {segment(1, 0, 0)}));
    }
    CheckpointDir dir = open();
    dir.start_run();
    auto const old_is_there = [&] { return names_in(folder_).contains("manifest-r1-p0-e5.json"); };
    dir.commit(make_manifest({2, 1, 0}, {sequence_of("a", 2)}, {}));
    dir.commit(make_manifest({2, 2, 0}, {sequence_of("a", 3)}, {}));
    EXPECT_TRUE(old_is_there());  // for b
    EXPECT_THAT(load().segments, ElementsAre(testing::_));
    dir.result_written("b");
    dir.commit(make_manifest({2, 3, 0}, {sequence_of("a", 4)}, {}));
    EXPECT_FALSE(old_is_there());
    EXPECT_THAT(load().segments, IsEmpty());
    EXPECT_FALSE(load().sequences.contains("b"));
    // Any rank may still read it.
    EXPECT_TRUE(names_in(folder_).contains("segments/r1-p0-s0k0t0-0.h5"));
}

TEST_F(CheckpointDirTest, WhatAnEndedJobWasResumedFromStaysUntilItsReplicaHasCommittedTwice) {
    {
        CheckpointDir dir = open();
        dir.start_run();
        dir.commit(make_manifest({1, 5, 0}, {sequence_of("a", 1)}, {segment(1, 0, 0)}));
    }
    CheckpointDir dir = open();
    dir.start_run();
    // Replica 1 takes "a" up and ends it; a job on the same document goes on in what was read from the segment.
    dir.result_written("a", 1);
    dir.commit(make_manifest({2, 1, 0}, {}, {}));
    dir.commit(make_manifest({2, 2, 0}, {}, {}));
    dir.commit(make_manifest({2, 1, 1}, {}, {}));  // of a step before "a" was taken up
    EXPECT_EQ(load().segments.size(), 1U);
    dir.commit(make_manifest({2, 2, 1}, {sequence_of("b", 1)}, load().segments));
    EXPECT_FALSE(names_in(folder_).contains("manifest-r1-p0-e5.json"));
    EXPECT_EQ(load().segments.size(), 1U);
    EXPECT_THAT(load().problems, IsEmpty());
}

TEST_F(CheckpointDirTest, SegmentsInFlightStayAndDroppedOnesGo) {
    CheckpointDir dir = open();
    dir.start_run();
    std::vector<std::string> const dropped = {segment(1, 0, 1).name};
    static_cast<void>(segment(1, 0, 2));
    dir.commit(make_manifest({1, 1, 0}, {sequence_of("a", 1)}, {segment(1, 0, 0)}), dropped);
    EXPECT_THAT(names_in(segments_folder(folder_)),
                UnorderedElementsAre("r1-p0-s0k0t0-0.h5", "r1-p0-s0k0t0-2.h5"));
}

TEST_F(CheckpointDirTest, AStartRemovesWhatEarlierRunsLeft) {
    {
        CheckpointDir dir = open();
        dir.start_run();
        dir.commit(make_manifest({1, 1, 0}, {sequence_of("a", 1)}, {segment(1, 0, 0)}));
    }
    static_cast<void>(segment(1, 0, 1));
    for (char const* name :
         {"manifest-r1-p0-e2.json.tmp", "runs.tmp", "segments/r1-p0-s0k0t0-9.h5.tmp", "notes.txt",
          "notes.tmp", "segments/mine.h5"}) {
        scratch_.write(std::string("checkpoint/") + name, "x");
    }
    static_cast<void>(load());  // changes nothing
    EXPECT_EQ(names_in(folder_).size(), 11U);
    open().start_run();
    EXPECT_THAT(names_in(folder_), UnorderedElementsAre("lock", "runs", "manifest-r1-p0-e1.json",
                                                        "segments/r1-p0-s0k0t0-0.h5", "notes.txt",
                                                        "notes.tmp", "segments/mine.h5"));
}

TEST_F(CheckpointDirTest, ACompleteRunLeavesNothing) {
    {
        CheckpointDir dir = open();
        dir.start_run();
        dir.commit(make_manifest({1, 1, 0}, {sequence_of("a", 1), sequence_of("b", 1)},
                                 {segment(1, 0, 0)}));
        static_cast<void>(segment(1, 0, 1));
        for (char const* name : {"kv.h5", "kv.h5.tmp", "runs.tmp"}) {
            scratch_.write(std::string("checkpoint/") + name, "x");
        }
        dir.result_written("a");
        EXPECT_EQ(dir.finish_all(), 1);
        EXPECT_FALSE(std::filesystem::exists(folder_));
    }
    CheckpointDir dir = open();
    dir.start_run();
    scratch_.write("checkpoint/notes.txt", "mine");
    EXPECT_EQ(dir.finish_all(), 0);
    EXPECT_THAT(names_in(folder_), ElementsAre("notes.txt"));
}

TEST_F(CheckpointDirTest, OneRunAtATime) {
    CheckpointDir dir = open();
    EXPECT_THAT(message_of<ValidationError>([&] { static_cast<void>(open()); }),
                HasSubstr("in use by another run (process "));
    static_cast<void>(load());
    dir.start_run();
    dir.finish_all();
    static_cast<void>(open());
}

TEST_F(CheckpointDirTest, AnotherModelIsRefusedUnlessAfresh) {
    {
        CheckpointDir dir = open();
        dir.start_run();
        dir.commit(make_manifest({1, 1, 0}, {sequence_of("a", 1)}, {segment(1, 0, 0)}));
    }
    auto const refusal = [&](RunIdentity const& identity) {
        return message_of<ValidationError>(
            [&] { CheckpointDir const dir(folder_, identity, OldCheckpoint::resume); });
    };
    EXPECT_THAT(refusal({"model-2", "f32", "template-1", "other"}),
                HasSubstr("of another model (tiny model-1; now other model-2)"));
    EXPECT_THAT(refusal({"model-1", "bf16", "template-1", "tiny"}),
                HasSubstr("of another dtype (f32; now bf16)"));
    EXPECT_THAT(refusal({"model-1", "f32", "template-2", "tiny"}), HasSubstr("chat template"));
    EXPECT_THAT(refusal({"model-2", "f32", "template-1", "x"}), HasSubstr("--fresh"));
    EXPECT_EQ(refusal({"model-1", "f32", "template-1", "renamed"}), "");
    EXPECT_EQ(load().sequences.size(), 1U);

    CheckpointDir dir(folder_, {"model-2", "f32", "template-1", "x"}, OldCheckpoint::discard);
    EXPECT_THAT(dir.saved().sequences, IsEmpty());
    EXPECT_EQ(dir.start_run(), 2);
    EXPECT_THAT(names_in(folder_), UnorderedElementsAre("lock", "runs"));
}

TEST_F(CheckpointDirTest, AnotherFormatIsRefused) {
    static_cast<void>(open());
    scratch_.write("checkpoint/manifest-r1-p0-e1.json", manifest_header(9, "{}\n") + "{}\n");
    EXPECT_THAT(message_of<ValidationError>([&] { static_cast<void>(load()); }),
                HasSubstr("format 9"));
}

TEST_F(CheckpointDirTest, RoomIsChecked) {
    EXPECT_FALSE(warn_if_no_room(scratch_ / "", 1));
    auto const warning = warn_if_no_room(scratch_ / "", std::int64_t{1} << 60);
    ASSERT_TRUE(warning);
    EXPECT_THAT(*warning, HasSubstr("no room for a checkpoint of 1073741824.00 GiB"));
}

}  // namespace
}  // namespace longhaul::io
