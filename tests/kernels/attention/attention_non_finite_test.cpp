// A score that is not a number must show in every row that sees its slot, however few slots are seen beside it, and in no
// other row. A key that is lost instead leaves a plausible result that is wrong.

#include "kernels/attention/attention_case.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace longhaul::kernels::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

using Level = std::tuple<DType, Backend, Isa>;

/// A key whose score is NaN, or infinite so that the softmax takes inf - inf.
struct Poison {
    std::int64_t block = 0;
    std::int64_t kv_head = 0;
    std::int64_t slot = 0;
};

enum class Kind { nan, infinite_score, infinities_cancel };
constexpr Kind kKinds[] = {Kind::nan, Kind::infinite_score, Kind::infinities_cancel};

class AttentionNonFinite : public ::testing::TestWithParam<Level> {
  protected:
    DType dtype() const { return std::get<DType>(GetParam()); }
    ExecContext exec(int threads = 1) const {
        Backend const backend = std::get<Backend>(GetParam());
        return {backend, std::get<Isa>(GetParam()), threads,
                backend == Backend::cuda ? test_gpu() : nullptr};
    }
};

/// Queries whose first two elements have known signs, so that an infinite key gives a known score.
void fix_signs(AttentionCase& attention) {
    for (std::int64_t row = 0; row < attention.shape().num_rows; ++row) {
        for (std::int64_t head = 0; head < attention.num_heads(); ++head) {
            attention.set_query(row, head, 0, 0.5F);
            attention.set_query(row, head, 1, -0.5F);
        }
    }
}

void poison(AttentionCase& attention, Poison const& at, Kind kind) {
    if (kind == Kind::nan) {
        attention.set_key(at.block, at.kv_head, at.slot, attention.shape().key_dim - 1, kNan);
        return;
    }
    attention.set_key(at.block, at.kv_head, at.slot, 0, kInfinity);
    if (kind == Kind::infinities_cancel) {
        attention.set_key(at.block, at.kv_head, at.slot, 1, kInfinity);
    }
}

/// The rows that see a poisoned slot are NaN throughout, the others have the bits they had before.
void expect_poisoned(AttentionCase const& attention, std::vector<Poison> const& poisons,
                     AttentionResult const& before, AttentionResult const& after) {
    std::int64_t const dim = attention.shape().value_dim;
    for (std::int64_t row = 0; row < attention.shape().num_rows; ++row) {
        for (std::int64_t head = 0; head < attention.num_heads(); ++head) {
            bool const hit = std::any_of(poisons.begin(), poisons.end(), [&](Poison const& at) {
                return at.kv_head == head / attention.shape().group &&
                       attention.sees(row, at.block, at.slot);
            });
            std::int64_t const position = row * attention.num_heads() + head;
            SCOPED_TRACE("row " + std::to_string(row) + ", head " + std::to_string(head));
            if (hit) {
                ASSERT_TRUE(std::isnan(after.lse[position])) << after.lse[position];
            } else {
                ASSERT_EQ(after.lse[position], before.lse[position]);
            }
            for (std::int64_t e = position * dim; e < (position + 1) * dim; ++e) {
                if (hit) {
                    ASSERT_TRUE(std::isnan(after.out[e])) << after.out[e];
                } else {
                    ASSERT_EQ(after.out[e], before.out[e]);
                }
            }
        }
    }
}

/// One sequence whose newest slots are the rows' own, as a history and a diagonal item; some rows see less or nothing.
AttentionCase random_case(DType dtype, std::mt19937_64& random, std::vector<KvExtent>& extents) {
    CaseShape shape{.dtype = dtype,
                    .block_slots = 16 * pick(random, 1, 8),
                    .num_kv_heads = pick(random, 1, 2),
                    .group = pick(random, 1, 5),
                    .key_dim = 8 * pick(random, 1, 5),
                    .value_dim = 8 * pick(random, 1, 5),
                    .num_rows = pick(random, 1, 13),
                    .pool_blocks = 0};
    // Beyond 1024 slots there are several splits.
    std::int64_t const longest = pick(random, 0, 3) == 0 ? 2300 : 150;
    std::int64_t const history = pick(random, 0, 1) == 0 ? 0 : pick(random, 0, longest);
    std::int64_t const slots = history + shape.num_rows;
    std::int64_t const kvp = pick(random, 1, 3);
    extents =
        place_sequence(shape, slots, pick(random, 0, kvp - 1), kvp, shape.pool_blocks, random);
    AttentionCase attention(shape, random());
    fix_signs(attention);
    std::vector<std::int32_t> rows(shape.num_rows);
    std::iota(rows.begin(), rows.end(), 0);
    std::shuffle(rows.begin(), rows.end(), random);
    std::vector<std::int64_t> visible;
    for (std::int64_t i = 0; i < shape.num_rows; ++i) {
        visible.push_back(history + (pick(random, 0, 5) == 0 ? 0 : i + 1));
    }
    attention.add_item(rows, extents, history / 3 * pick(random, 0, 2), history);
    attention.add_item(rows, extents, history, slots, visible);
    return attention;
}

TEST_P(AttentionNonFinite, ShowsInTheRowsThatSeeItAndInNoOther) {
    std::uint64_t const first = 1000 * static_cast<std::uint64_t>(std::get<Isa>(GetParam()));
    for (std::uint64_t seed = first + 1; seed <= first + 60; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        std::mt19937_64 random(seed);
        std::vector<KvExtent> extents;
        AttentionCase attention = random_case(dtype(), random, extents);
        if (extents.empty()) {
            continue;
        }
        int const threads = static_cast<int>(pick(random, 1, 3));
        AttentionResult const before = attention.run(exec(threads));
        std::vector<Poison> poisons;
        Kind const kind = kKinds[pick(random, 0, 2)];
        for (std::int64_t i = pick(random, 1, pick(random, 0, 2) == 0 ? 50 : 3); i > 0; --i) {
            // The last block more often: there slots are hidden.
            bool const last = pick(random, 0, 1) == 0;
            KvExtent const& extent =
                last ? extents.back() : extents[pick(random, 0, std::ssize(extents) - 1)];
            poisons.push_back(
                {extent.block + (last ? extent.count - 1 : pick(random, 0, extent.count - 1)),
                 pick(random, 0, attention.shape().num_kv_heads - 1),
                 pick(random, 0, attention.shape().block_slots - 1)});
            poison(attention, poisons.back(), kind);
        }
        expect_poisoned(attention, poisons, before, attention.run(exec(threads)));
        if (HasFatalFailure()) {
            return;
        }
    }
}

TEST_P(AttentionNonFinite, ShowsWhereverItStandsAmongHiddenSlots) {
    for (Kind const kind : kKinds) {
        for (std::int64_t slot = 0; slot < 128; slot += 3) {
            SCOPED_TRACE("kind " + std::to_string(static_cast<int>(kind)) + ", slot " +
                         std::to_string(slot));
            // Row 0 sees this slot alone, row 1 this and the next, row 2 all from it on: so that steps follow in which the
            // first two see nothing. Row 3 ends before it.
            AttentionCase attention(
                {.dtype = dtype(), .key_dim = 8, .value_dim = 8, .num_rows = 4, .pool_blocks = 3},
                11);
            fix_signs(attention);
            attention.add_item({0, 1, 2, 3}, {{0, 3, 0, 64}}, slot, 192,
                               {slot + 1, slot + 2, 192, slot});
            AttentionResult const before = attention.run(exec());
            Poison const at{slot / 64, 0, slot % 64};
            poison(attention, at, kind);
            expect_poisoned(attention, {at}, before, attention.run(exec()));
            if (HasFatalFailure()) {
                return;
            }
        }
    }
}

TEST_P(AttentionNonFinite, ShowsWhenEverySlotIsPoisoned) {
    for (std::int64_t const slots : {1, 7, 60, 64, 65, 130, 1100, 2048}) {
        SCOPED_TRACE("slots " + std::to_string(slots));
        AttentionCase attention(
            {.dtype = dtype(), .key_dim = 8, .value_dim = 16, .num_rows = 3, .pool_blocks = 32},
            12);
        attention.add_item({0, 1, 2}, {{0, 32, 0, 64}}, 0, slots, {slots, slots / 2, 0});
        AttentionResult const before = attention.run(exec());
        std::vector<Poison> poisons;
        for (std::int64_t slot = 0; slot < slots; ++slot) {
            poisons.push_back({slot / 64, 0, slot % 64});
            poison(attention, poisons.back(), Kind::nan);
        }
        expect_poisoned(attention, {poisons.front()}, before, attention.run(exec()));
        if (HasFatalFailure()) {
            return;
        }
    }
}

TEST_P(AttentionNonFinite, AScoreOfMinusInfinityWeighsNothing) {
    // Results over disjoint slots merge by their LSE, and what saw nothing has -inf: a slot that scores -inf is the same.
    AttentionCase attention(
        {.dtype = dtype(), .key_dim = 8, .value_dim = 8, .num_rows = 2, .pool_blocks = 20}, 13);
    fix_signs(attention);
    attention.add_item({0, 1}, {{0, 20, 0, 64}}, 3, 1200, {1200, 5});
    attention.add_item({0}, {{0, 20, 0, 64}}, 1200, 1210);
    AttentionCase shorter(
        {.dtype = dtype(), .key_dim = 8, .value_dim = 8, .num_rows = 2, .pool_blocks = 20}, 13);
    fix_signs(shorter);
    shorter.add_item({0}, {{0, 20, 0, 64}}, 100, 1190);
    for (std::int64_t slot = 0; slot < 1280; ++slot) {
        if (slot < 100 || slot >= 1190) {
            attention.set_key(slot / 64, 0, slot % 64, 0, -kInfinity);
        }
    }
    AttentionResult const result = attention.run(exec());
    AttentionResult const expected = shorter.run(exec());
    for (std::size_t i = 0; i < result.out.size(); ++i) {
        EXPECT_NEAR(result.out[i], expected.out[i], 1e-2);
    }
    EXPECT_NEAR(result.lse[0], expected.lse[0], 1e-3);
    EXPECT_EQ(result.lse[1], -kInfinity);
}

std::vector<Level> levels() {
    std::vector<Level> result;
    for (DType const dtype : {DType::f32, DType::bf16}) {
        result.emplace_back(dtype, Backend::reference, Isa::plain);
        for (Isa const isa : available_isas()) {
            result.emplace_back(dtype, Backend::cpu, isa);
        }
        if (test_gpu() != nullptr) {
            result.emplace_back(dtype, Backend::cuda, Isa::plain);
        }
    }
    return result;
}

std::string level_name(Level const& level) {
    std::string dtype = dtype_name(std::get<DType>(level));
    switch (std::get<Backend>(level)) {
        case Backend::reference:
            return dtype + "_reference";
        case Backend::cpu:
            return dtype + "_" + isa_name(std::get<Isa>(level));
        case Backend::cuda:
            return dtype + "_cuda";
    }
    return dtype;
}

INSTANTIATE_TEST_SUITE_P(Levels, AttentionNonFinite, ::testing::ValuesIn(levels()),
                         [](auto const& test) { return level_name(test.param); });

}  // namespace
}  // namespace longhaul::kernels::test
