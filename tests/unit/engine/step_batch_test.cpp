#include "engine/step_batch.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <utility>
#include <vector>

namespace longhaul::engine {
namespace {

using schedule::ChunkScheduler;
using schedule::SequenceSpec;
using schedule::StepPlan;

ChunkScheduler make_scheduler(std::int64_t kvp, std::vector<SequenceSpec> specs) {
    ChunkScheduler::Options options;
    options.chunk = 100;
    options.max_batch = 8;
    options.kv = {64, schedule::KvPolicy::automatic, 2,
                  std::vector<std::int64_t>(static_cast<std::size_t>(kvp), 100)};
    ChunkScheduler scheduler(options);
    schedule::StepInputs inputs;
    inputs.admissions = std::move(specs);
    scheduler.apply(inputs);
    return scheduler;
}

SequenceSpec spec(SequenceId id, std::int64_t length, std::int64_t cut) {
    SequenceSpec result;
    result.id = id;
    for (std::int64_t i = 0; i < length; ++i) {
        result.prompt.push_back(static_cast<TokenId>(1000 * id + i));
    }
    result.cut = cut;
    result.max_new_tokens = 3;
    for (std::int64_t b = 0; b < cut / 64; ++b) {
        result.prefix_keys.push_back({static_cast<std::uint64_t>(b) + 1, 1});
    }
    return result;
}

// Slots each row sees over all KVP ranks, with multiplicity.
std::map<std::int32_t, std::multiset<std::int64_t>> seen_slots(StepPlan const& plan,
                                                               ChunkScheduler const& scheduler,
                                                               std::int64_t kvp) {
    std::map<std::int32_t, std::multiset<std::int64_t>> seen;
    for (std::int64_t c = 0; c < kvp; ++c) {
        StepBatch const batch = build_step_batch(plan, scheduler, c);
        for (kernels::AttentionItem const& item : batch.attention) {
            for (std::size_t r = 0; r < item.rows.size(); ++r) {
                std::int64_t const limit =
                    item.visible.empty() ? item.slot_end : std::min(item.slot_end, item.visible[r]);
                for (kernels::KvExtent const& extent : item.extents) {
                    for (std::int64_t s = 0; s < extent.count * 64; ++s) {
                        std::int64_t const slot =
                            extent.first_slot + s / 64 * extent.slot_stride + s % 64;
                        if (slot >= item.slot_begin && slot < limit) {
                            seen[item.rows[r]].insert(slot);
                        }
                    }
                }
            }
        }
    }
    return seen;
}

// The promise of design section 3: every entry is attended exactly once, by its owner.
TEST(StepBatch, EveryRowSeesEachEarlierEntryOnce) {
    for (std::int64_t kvp : {1, 2, 3}) {
        ChunkScheduler scheduler = make_scheduler(
            kvp, {spec(0, 333, 192), spec(1, 210, 192), spec(2, 40, 0), spec(3, 90, 64)});
        for (StepIndex step = 0; step < 12; ++step) {
            StepPlan const plan = scheduler.plan(step);
            auto const seen = seen_slots(plan, scheduler, kvp);
            StepBatch const batch = build_step_batch(plan, scheduler, 0);
            for (std::int64_t row = 0; row < batch.num_rows; ++row) {
                std::multiset<std::int64_t> expected;
                for (std::int64_t slot = 0; slot <= batch.positions[static_cast<std::size_t>(row)];
                     ++slot) {
                    expected.insert(slot);
                }
                ASSERT_EQ(seen.at(static_cast<std::int32_t>(row)), expected)
                    << "step " << step << " row " << row;
            }
        }
    }
}

TEST(StepBatch, EachNewEntryIsWrittenByOneRank) {
    ChunkScheduler scheduler = make_scheduler(3, {spec(0, 250, 0)});
    StepPlan const plan = scheduler.plan(0);
    std::vector<int> writers(100);
    for (std::int64_t c = 0; c < 3; ++c) {
        StepBatch const batch = build_step_batch(plan, scheduler, c);
        for (std::size_t row = 0; row < writers.size(); ++row) {
            writers[row] += batch.slots[row].block >= 0 ? 1 : 0;
        }
    }
    EXPECT_EQ(writers, std::vector<int>(100, 1));
}

TEST(StepBatch, RowsOfJobsOnOneDocumentMeetInOneItem) {
    ChunkScheduler scheduler = make_scheduler(1, {spec(0, 200, 192), spec(1, 210, 192)});
    static_cast<void>(scheduler.plan(0));
    StepPlan plan =
        scheduler.plan(1);  // finishes the document: the second job may join in the same step
    while (plan.items.size() < 2) {
        plan = scheduler.plan(plan.step + 1);
    }

    StepBatch const batch = build_step_batch(plan, scheduler, 0);

    std::set<std::int32_t> document_rows;
    for (kernels::AttentionItem const& item : batch.attention) {
        if (item.slot_begin == 0 && item.slot_end == 192) {
            EXPECT_TRUE(document_rows.empty()) << "the document is read twice";
            document_rows.insert(item.rows.begin(), item.rows.end());
        }
    }
    EXPECT_EQ(static_cast<std::int64_t>(document_rows.size()), batch.num_rows);
}

TEST(StepBatch, TellsSingleFromStripedRows) {
    ChunkScheduler scheduler = make_scheduler(2, {spec(0, 30, 0), spec(1, 500, 0)});
    StepPlan const first = scheduler.plan(0);
    StepPlan const second = scheduler.plan(1);

    StepBatch const single = build_step_batch(first, scheduler, 0);
    StepBatch const striped = build_step_batch(second, scheduler, 0);

    EXPECT_TRUE(single.striped_rows.empty());
    EXPECT_EQ(single.single_rows[0].size() + single.single_rows[1].size(), 30U);
    EXPECT_EQ(striped.striped_rows.size(), 100U);
}

}  // namespace
}  // namespace longhaul::engine
