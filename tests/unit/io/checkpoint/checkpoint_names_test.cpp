#include "io/checkpoint_names.hpp"

#include <gtest/gtest.h>

namespace longhaul::io {
namespace {

TEST(CheckpointNames, ThereAndBack) {
    EpochId const epoch{12, 34567890123, 5};
    EXPECT_EQ(manifest_name(epoch), "manifest-r12-p5-e34567890123.json");
    EXPECT_EQ(parse_manifest_name(manifest_name(epoch)), epoch);
    SegmentId const segment{1, 2, 3, 4, 5, 67};
    EXPECT_EQ(segment_name(segment), "r1-p2-s3k4t5-67.h5");
    EXPECT_EQ(parse_segment_name(segment_name(segment)), segment);
}

TEST(CheckpointNames, NothingElseIsTaken) {
    for (char const* name :
         {"", "manifest-r1-p2-e3.json.tmp", "manifest-r1-p2-e3", "manifest-r01-p2-e3.json",
          "manifest-r1-p2-e.json", "manifest-r1-p2-e-3.json", "manifest-r+1-p2-e3.json",
          "manifest-r1-p2-e99999999999999999999.json", "xmanifest-r1-p2-e3.json"}) {
        EXPECT_FALSE(parse_manifest_name(name)) << name;
    }
    for (char const* name : {"", "r1-p2-s3k4t5-67.h5.tmp", "../r1-p2-s3k4t5-67.h5",
                             "r1-p2-s3k4t5-67.h5/..", "r1-p2-s3k4t5-067.h5", "r1-p2-s3k4-67.h5"}) {
        EXPECT_FALSE(parse_segment_name(name)) << name;
    }
}

TEST(CheckpointNames, EpochsAreOrderedByAge) {
    EXPECT_LT((EpochId{1, 900, 7}), (EpochId{2, 0, 0}));
    EXPECT_LT((EpochId{2, 5, 1}), (EpochId{2, 6, 0}));
}

}  // namespace
}  // namespace longhaul::io
