// What attention promises as a whole: it splits over KVP ranks, it is causal, and its pool may be large.

#include "kernels/attention/attention_case.hpp"
#include "kernels/merge_states.hpp"
#include "support/tolerance.hpp"

#include <gtest/gtest.h>

#include <sys/mman.h>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <numeric>

namespace longhaul::kernels::test {
namespace {

class AttentionProperty : public ::testing::TestWithParam<DType> {};

/// `kvp` ranks with every kvp-th block each, merged as the engine does, against one rank with all blocks.
TEST_P(AttentionProperty, RanksWithAPartOfTheBlocksMergeToTheWhole) {
    std::mt19937_64 random(21);
    for (std::int64_t kvp = 2; kvp <= 4; ++kvp) {
        constexpr std::int64_t kSlots = 1500;
        CaseShape const shape{.dtype = GetParam(),
                              .num_kv_heads = 3,
                              .group = 3,
                              .key_dim = 32,
                              .value_dim = 24,
                              .num_rows = 5,
                              .pool_blocks = 24};
        AttentionCase attention(shape, random());
        std::vector<std::int32_t> const rows{4, 2, 0, 1, 3};
        // Row 0 sees only the first block: most ranks have nothing for it.
        std::vector<std::int64_t> const visible{kSlots, 1000, 33, 700, 64};
        attention.add_item(rows, {{0, 24, 0, 64}}, 0, kSlots, visible);
        ExecContext const exec;
        AttentionResult const whole = attention.run(exec);

        std::vector<AttentionResult> parts;
        for (std::int64_t rank = 0; rank < kvp; ++rank) {
            attention.clear_items();
            std::vector<KvExtent> extents;
            for (std::int64_t block = rank; block < 24; block += kvp) {
                extents.push_back({block, 1, block * 64, kvp * 64});
            }
            attention.add_item(rows, extents, 0, kSlots, visible);
            parts.push_back(attention.run(exec));
        }
        std::vector<PartialState> states;
        std::int64_t const width = attention.num_heads() * shape.value_dim;
        for (AttentionResult const& part : parts) {
            states.push_back({part.out.data(), width, part.lse.data(), attention.num_heads()});
        }
        AttentionResult merged{std::vector<float>(whole.out.size()),
                               std::vector<float>(whole.lse.size())};
        merge_states(exec, {states, shape.num_rows, width, shape.value_dim, 0, merged.out.data(),
                            width, merged.lse.data()});
        auto const tolerance = test_support::attention_tolerance(GetParam());
        double const scale = attention.largest_value();
        for (std::size_t i = 0; i < whole.out.size(); ++i) {
            ASSERT_NEAR(merged.out[i], whole.out[i], 2 * tolerance.out * scale) << kvp;
        }
        for (std::size_t i = 0; i < whole.lse.size(); ++i) {
            ASSERT_NEAR(merged.lse[i], whole.lse[i],
                        2 * tolerance.lse * std::max(1.0F, std::abs(whole.lse[i])));
        }
    }
}

TEST_P(AttentionProperty, AFutureTokenNeverChangesThePast) {
    for (Isa const isa : available_isas()) {
        AttentionCase attention({.dtype = GetParam(), .group = 2, .num_rows = 40, .pool_blocks = 4},
                                22);
        std::vector<std::int32_t> rows(40);
        std::iota(rows.begin(), rows.end(), 0);
        std::vector<std::int64_t> visible;
        for (std::int64_t i = 0; i < 40; ++i) {
            visible.push_back(101 + i);
        }
        attention.add_item(rows, {{0, 4, 0, 64}}, 0, 141, visible);
        ExecContext const exec{Backend::cpu, isa, 1};
        AttentionResult before = attention.run(exec);
        for (std::int64_t last = 39; last > 0; last -= 3) {
            // Slots of row `last` and its two followers change, those of later rows have.
            for (std::int64_t slot = 100 + last; slot < 103 + last; ++slot) {
                for (std::int64_t dim = 0; dim < 64; ++dim) {
                    attention.set_key(slot / 64, 0, slot % 64, dim, 9.0F);
                    attention.set_value(slot / 64, 0, slot % 64, dim, -9.0F);
                }
            }
            AttentionResult const after = attention.run(exec);
            std::int64_t const past = last * 2 * 64;
            ASSERT_EQ(0, std::memcmp(before.out.data(), after.out.data(), past * sizeof(float)))
                << last;
            ASSERT_NE(0, std::memcmp(&before.out[past], &after.out[past], 64 * sizeof(float)))
                << last;
            before = after;
        }
    }
}

/// Anonymous memory that is only reserved; untouched pages read as zeros.
class SparsePool {
  public:
    explicit SparsePool(std::int64_t bytes) : bytes_(bytes) {
        void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        data_ = memory == MAP_FAILED ? nullptr : static_cast<std::byte*>(memory);
    }
    ~SparsePool() {
        if (data_ != nullptr) {
            ::munmap(data_, bytes_);
        }
    }
    SparsePool(SparsePool const&) = delete;
    SparsePool& operator=(SparsePool const&) = delete;
    [[nodiscard]] std::byte* data() const { return data_; }

  private:
    std::byte* data_ = nullptr;
    std::int64_t bytes_ = 0;
};

TEST_P(AttentionProperty, BlocksBehindTwoToThe31ElementsAreFound) {
    CaseShape const shape{
        .dtype = GetParam(), .num_kv_heads = 2, .group = 2, .num_rows = 3, .pool_blocks = 4};
    AttentionCase near(shape, 23);
    near.add_item({0, 1, 2}, {{0, 2, 0, 128}, {2, 2, 256, 128}}, 0, 400, {400, 300, 40});
    AttentionResult const expected = near.run({});

    std::int64_t const block_bytes = near.layout().block_bytes();
    // 2^31 f32 or 2^32 bf16 elements lie before the blocks.
    std::int64_t const first = (std::int64_t{1} << 33) / block_bytes + 1;
    SparsePool const pool((first + 3000) * block_bytes);
    ASSERT_NE(pool.data(), nullptr);
    AttentionArgs args = near.args();
    std::memcpy(pool.data() + first * block_bytes, args.pool, 2 * block_bytes);
    std::memcpy(pool.data() + (first + 2000) * block_bytes, args.pool + 2 * block_bytes,
                2 * block_bytes);
    std::vector<KvExtent> const extents{{first, 2, 0, 128}, {first + 2000, 2, 256, 128}};
    AttentionItem item = near.items()[0];
    item.extents = extents;
    AttentionResult result = expected;
    std::fill(result.out.begin(), result.out.end(), 0.0F);
    args.pool = pool.data();
    args.items = {&item, 1};
    args.out = result.out.data();
    args.lse = result.lse.data();
    attention({}, args);
    EXPECT_EQ(result.out, expected.out);
    EXPECT_EQ(result.lse, expected.lse);
}

INSTANTIATE_TEST_SUITE_P(Types, AttentionProperty, ::testing::Values(DType::f32, DType::bf16),
                         [](auto const& test) { return dtype_name(test.param); });

}  // namespace
}  // namespace longhaul::kernels::test
