// Whatever happens to a rank's segments: an epoch names all that it needs, few segments, and none that was left out before.
#include "engine/segment_ledger.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>

namespace longhaul::engine {
namespace {

constexpr std::int64_t kMost = 12;

BlockKey group_key(int group) {
    return group == 0 ? SegmentLedger::kCommon : BlockKey{static_cast<std::uint64_t>(group), 99};
}

/// A ledger with its files: what each segment of this name really holds.
class World {
  public:
    explicit World(std::uint64_t seed) : random(seed) {}

    SegmentLedger::Number segment(int group, int blocks) {
        SegmentLedger::Number const number =
            ledger.open("s" + std::to_string(next_++), group_key(group));
        std::string const& name = ledger.name(number);
        for (int i = 0; i < blocks; ++i) {
            BlockKey const key{random(), static_cast<std::uint64_t>(group)};
            files[name].push_back(key);
            needed.push_back(key);
            ledger.put(key, {number});
        }
        return number;
    }
    void write(SegmentLedger::Number number) {
        std::string const& name = ledger.name(number);
        ledger.written(number, info_of(name));
    }
    [[nodiscard]] io::KvSegmentInfo info_of(std::string const& name) const {
        auto const blocks = static_cast<std::int64_t>(files.at(name).size());
        return {name, blocks, blocks, 0};
    }

    void begin_epoch() {
        ledger.count_anew();
        for (BlockKey const& key : needed) {
            ledger.need(key);
        }
        ledger.begin_epoch(++step);
        needed_at[step] = needed;
    }

    bool begin_merge() {
        merge = ledger.begin_merge();
        return merge.has_value();
    }
    void end_merge() {
        std::string const name = "m" + std::to_string(next_++);
        std::set<std::string> groups;
        for (io::KvSegmentInfo const& source : merge->sources) {
            EXPECT_FALSE(left_out.contains(source.name)) << "removed while it was being read";
            for (BlockKey const& key : files.at(source.name)) {
                groups.insert(std::to_string(key.high));
                if (std::find(merge->keys.begin(), merge->keys.end(), key) != merge->keys.end()) {
                    files[name].push_back(key);
                }
            }
        }
        EXPECT_EQ(groups.size(), 1U) << "segments of one group alone are merged";
        EXPECT_EQ(merge->one_document, *groups.begin() != "0");
        EXPECT_EQ(files[name].size(), merge->keys.size());
        blocks_merged += static_cast<std::int64_t>(merge->keys.size());
        merge.reset();
        ledger.end_merge(info_of(name));
    }

    /// Checks a report and keeps what it names.
    void check(EpochReport const& report) {
        std::set<std::string> names;
        std::set<std::pair<std::uint64_t, std::uint64_t>> held;
        for (io::KvSegmentInfo const& segment : report.segments) {
            EXPECT_TRUE(names.insert(segment.name).second);
            EXPECT_FALSE(left_out.contains(segment.name)) << segment.name << " is named again";
            for (BlockKey const& key : files.at(segment.name)) {
                held.emplace(key.low, key.high);
            }
        }
        for (BlockKey const& key : needed_at.at(report.epoch)) {
            EXPECT_TRUE(!report.failure.empty() || held.contains({key.low, key.high}));
        }
        for (std::string const& name : named) {
            if (!names.contains(name)) left_out.insert(name);
        }
        for (std::string const& name : report.dropped) {
            EXPECT_FALSE(names.contains(name));
            left_out.insert(name);
        }
        named = names;
    }

    std::mt19937_64 random;
    SegmentLedger ledger;
    std::map<std::string, std::vector<BlockKey>> files;
    std::vector<BlockKey> needed;
    std::map<StepIndex, std::vector<BlockKey>> needed_at;
    std::optional<SegmentMerge> merge;
    std::set<std::string> named;
    std::set<std::string> left_out;
    StepIndex step = 0;
    std::int64_t blocks_merged = 0;

  private:
    int next_ = 0;
};

TEST(SegmentLedger, NamesWhatIsNeededWhateverHappens) {
    std::uint64_t const seed = std::random_device()();
    for (std::uint64_t round = 0; round < 60; ++round) {
        SCOPED_TRACE(testing::Message() << "seed " << seed << ", round " << round);
        World world(seed + round);
        auto const one_of = [&](std::uint64_t count) { return world.random() % count == 0; };
        std::vector<SegmentLedger::Number> unwritten;
        for (int event = 0; event < 300; ++event) {
            if (one_of(2)) {
                int const group = static_cast<int>(world.random() % 3);
                unwritten.push_back(world.segment(group, 1 + static_cast<int>(world.random() % 5)));
            }
            if (one_of(2) && !unwritten.empty()) {
                world.write(unwritten.front());
                unwritten.erase(unwritten.begin());
            }
            if (one_of(10)) {  // sequences end
                std::erase_if(world.needed, [&](BlockKey const&) { return one_of(4); });
            }
            if (one_of(6)) {
                world.begin_epoch();
            }
            if (!world.merge) {
                world.begin_merge();
            } else if (one_of(3)) {
                world.end_merge();
            } else if (one_of(20)) {
                world.merge.reset();
                world.ledger.give_up_merge(one_of(2) ? std::optional<std::size_t>(1)
                                                     : std::nullopt);
            }
            bool const merging = world.merge.has_value();
            while (auto const report = world.ledger.take_epoch(merging)) {
                world.check(*report);
                EXPECT_TRUE(!merging || report->segments.size() <= SegmentLedger::kMostNamed);
            }
        }
    }
}

TEST(SegmentLedger, FewSegmentsAndFewCopies) {
    for (int const count : {13, 200, 2000}) {
        World world(7);
        for (int i = 0; i < count; ++i) {
            world.write(world.segment(i % 3, 1));
            if (i % 5 == 0) {
                world.begin_epoch();
            }
            while (world.begin_merge()) {
                world.end_merge();
            }
            while (auto const report = world.ledger.take_epoch(false)) {
                world.check(*report);
                EXPECT_LE(static_cast<std::int64_t>(report->segments.size()), kMost);
            }
        }
        EXPECT_LE(world.blocks_merged, count * 8) << count;
    }
}

TEST(SegmentLedger, ManyDocumentsHaveOneSegmentEachAtLeast) {
    World world(3);
    for (int i = 0; i < 300; ++i) {
        world.write(world.segment(i % 30, 1));
        while (world.begin_merge()) {
            world.end_merge();
        }
    }
    world.begin_epoch();
    auto const report = world.ledger.take_epoch(false);
    ASSERT_TRUE(report);
    world.check(*report);
    EXPECT_LE(report->segments.size(), 90U);
}

TEST(SegmentLedger, AnEpochWithTooManyWaitsForTheMerge) {
    World world(4);
    for (int i = 0; i < 30; ++i) {
        world.write(world.segment(0, 2));
    }
    world.begin_epoch();
    ASSERT_TRUE(world.begin_merge());
    EXPECT_FALSE(world.ledger.take_epoch(true));
    world.end_merge();
    auto const report = world.ledger.take_epoch(true);
    ASSERT_TRUE(report);
    EXPECT_LE(report->segments.size(), 8U);
    world.check(*report);
    world.begin_epoch();
    auto const next = world.ledger.take_epoch(false);
    ASSERT_TRUE(next);
    EXPECT_EQ(next->dropped.size(), 30U) << "the sources go";
    world.check(*next);
}

TEST(SegmentLedger, ADamagedSegmentIsLeftAlone) {
    World world(5);
    for (int i = 0; i < 13; ++i) {
        world.write(world.segment(0, 1 + i));
    }
    world.begin_epoch();
    ASSERT_TRUE(world.begin_merge());
    std::string const damaged = world.merge->sources[1].name;
    world.ledger.give_up_merge(1);
    ASSERT_TRUE(world.begin_merge());
    for (io::KvSegmentInfo const& source : world.merge->sources) {
        EXPECT_NE(source.name, damaged);
    }
}

TEST(SegmentLedger, SmallOldSegmentsAreGivenUpTogether) {
    for (int const count : {7, 8}) {
        World world(6);
        for (int i = 0; i < count; ++i) {
            std::string const name = "old" + std::to_string(i);
            BlockKey const key{world.random(), 0};
            world.needed.push_back(key);
            world.ledger.put(key, {world.ledger.old({name, 1, 1, 0})});
        }
        world.ledger.count_anew();
        for (BlockKey const& key : world.needed) {
            world.ledger.need(key);
        }
        world.ledger.give_up_small_old(2);
        EXPECT_EQ(world.ledger.holds(world.needed.front()), count < 8);
    }
}

}  // namespace
}  // namespace longhaul::engine
