#include "io/checkpoint_dir.hpp"
#include "support/folder_mutation.hpp"
#include "unit/io/checkpoint/checkpoint_support.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <utility>

namespace longhaul::io {
namespace {

constexpr std::int64_t kMutations = 400;

using test::Contents;
using test::mutated;

/// Two replicas, two epochs each, in a folder of its own.
class Original {
  public:
    Original() {
        std::mt19937_64 random(5);
        CheckpointDir dir(scratch_ / "", kIdentity, OldCheckpoint::resume);
        dir.start_run();
        for (std::int64_t epoch = 1; epoch < 3; ++epoch) {
            for (std::int64_t replica = 0; replica < 2; ++replica) {
                std::vector<SavedSequence> sequences;
                std::vector<KvSegmentInfo> segments;
                for (char const* name : {"a", "b"}) {
                    sequences.push_back(random_sequence(random, name + std::to_string(replica)));
                    sequences_.push_back(sequences.back());
                }
                for (std::int64_t number = 0; number <= epoch; ++number) {
                    segments.push_back(make_segment(scratch_ / "", {1, replica, 0, 0, 0, number},
                                                    100 + 10 * number));
                }
                dir.commit(make_manifest({1, epoch, replica}, sequences, segments));
            }
        }
        for (std::string const& name : names_in(scratch_ / "")) {
            if (name != "lock") contents_[name] = scratch_.read(name);
        }
    }

    [[nodiscard]] Contents const& contents() const { return contents_; }
    [[nodiscard]] bool saved(SavedSequence const& sequence) const {
        return std::find(sequences_.begin(), sequences_.end(), sequence) != sequences_.end();
    }

  private:
    ScratchFolder scratch_;
    Contents contents_;
    std::vector<SavedSequence> sequences_;
};

// What must be named: a changed manifest, and a segment of another size that a whole manifest needs. A file that is gone
// altogether is not missed unless something names it; contents of segments are for their readers.
bool must_be_named(Contents const& before, Contents const& after) {
    std::set<std::string> needed;
    for (auto const& [name, content] : before) {
        if (!parse_manifest_name(name) || !after.contains(name)) continue;
        if (after.at(name) != content) return true;
        for (KvSegmentInfo const& segment : parse_manifest(content).segments) {
            needed.insert("segments/" + segment.name);
        }
    }
    return std::any_of(needed.begin(), needed.end(), [&](std::string const& name) {
        return !after.contains(name) || after.at(name).size() != before.at(name).size();
    });
}

TEST(CheckpointMutation, EveryDamageIsNamedOrHarmless) {
    Original const original;
    for (std::uint64_t seed = 0; seed < kMutations; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        std::mt19937_64 random(seed);
        Contents contents = original.contents();
        for (std::int64_t i = 1 + below(random, 2); i > 0; --i) {
            contents = mutated(std::move(contents), random);
        }
        ScratchFolder const scratch;
        std::filesystem::create_directories(scratch / "segments");
        for (auto const& [name, content] : contents) scratch.write(name, content);

        LoadedCheckpoint const loaded = load_checkpoint(scratch / "", kIdentity);
        for (auto const& [id, found] : loaded.sequences) {
            EXPECT_EQ(id, found.sequence.job_id);
            EXPECT_TRUE(original.saved(found.sequence));
        }
        for (KvSegmentInfo const& segment : loaded.segments) {
            EXPECT_EQ(scratch.read("segments/" + segment.name).size(),
                      static_cast<std::size_t>(segment.bytes));
        }
        EXPECT_EQ(loaded.problems.empty(), !must_be_named(original.contents(), contents));

        // A run on it starts, counts on, and leaves a folder without problems.
        auto dir = std::make_unique<CheckpointDir>(scratch / "", kIdentity, OldCheckpoint::resume);
        testing::internal::CaptureStderr();  // a warning where the count of runs is damaged
        std::int64_t const run = dir->start_run();
        testing::internal::GetCapturedStderr();
        EXPECT_GT(run, 1);
        std::vector<SavedSequence> sequences;
        for (auto const& [id, found] : loaded.sequences) sequences.push_back(found.sequence);
        dir->commit(make_manifest({run, 1, 0}, sequences, {}));
        dir->commit(make_manifest({run, 2, 0}, sequences, {}));
        LoadedCheckpoint const again = load_checkpoint(scratch / "", kIdentity);
        EXPECT_TRUE(again.problems.empty());
        EXPECT_EQ(again.sequences.size(), loaded.sequences.size());
        dir.reset();  // its ranks may have read the old segments
        dir = std::make_unique<CheckpointDir>(scratch / "", kIdentity, OldCheckpoint::resume);
        dir->start_run();
        EXPECT_EQ(names_in(scratch / "segments").size(), 0U);
        EXPECT_EQ(num_manifests(scratch / ""), 2);
    }
}

}  // namespace
}  // namespace longhaul::io
