// The GPU's attention against the fp64 reference.

#include "device/buffer.hpp"
#include "kernels/cuda/attention/random_attention.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <tuple>
#include <vector>

namespace longhaul::kernels::test {
namespace {

using Level = std::tuple<DType, std::int64_t, std::int64_t>;  // block slots, dim (0: any)

class AttentionCuda : public ::testing::TestWithParam<Level> {
  protected:
    void SetUp() override {
        if (test_gpu() == nullptr) {
            GTEST_SKIP() << "no GPU here";
        }
    }
    static ExecContext exec() { return {Backend::cuda, detect_isa(), 1, test_gpu()}; }
    DType dtype() const { return std::get<0>(GetParam()); }
    AttentionRange range() const {
        return {.dtype = dtype(),
                .block_slots = std::get<1>(GetParam()),
                .dim = std::get<2>(GetParam())};
    }
};

TEST_P(AttentionCuda, MatchesTheReferenceOnRandomWorkLists) {
    for (std::uint64_t seed = 1; seed <= 25; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        AttentionCase const attention = random_attention(range(), seed);
        AttentionResult const expected = attention.run_reference();
        expect_close(attention, attention.run(exec()), expected);
        expect_close(attention, attention.run(exec(), true), expected);
        if (HasFatalFailure()) {
            return;
        }
    }
}

TEST_P(AttentionCuda, MatchesTheReferenceAtLongAndOddLengths) {
    for (std::int64_t const slots : {1, 129, 1000, 33333}) {
        for (std::int64_t const rows : {1, 5}) {
            SCOPED_TRACE("slots " + std::to_string(slots) + ", rows " + std::to_string(rows));
            std::mt19937_64 random(static_cast<std::uint64_t>(slots + rows));
            CaseShape shape{.dtype = dtype(),
                            .block_slots = std::max<std::int64_t>(16, std::get<1>(GetParam())),
                            .group = 4,
                            .num_rows = rows,
                            .pool_blocks = 0};
            shape.key_dim = shape.value_dim = std::max<std::int64_t>(40, std::get<2>(GetParam()));
            auto extents = place_sequence(shape, slots, 0, 1, shape.pool_blocks, random);
            std::shuffle(extents.begin(), extents.end(), random);
            AttentionCase attention(shape, random());
            std::vector<std::int32_t> all(rows);
            std::iota(all.begin(), all.end(), 0);
            attention.add_item(all, extents, 0, slots);
            expect_close(attention, attention.run(exec()), attention.run_reference());
            if (HasFatalFailure()) {
                return;
            }
        }
    }
}

TEST_P(AttentionCuda, WritesZerosWhereNothingIsSeen) {
    CaseShape shape{.dtype = dtype(), .block_slots = 128, .num_rows = 300, .pool_blocks = 3};
    shape.key_dim = shape.value_dim = 64;
    AttentionCase attention(shape, 5);
    AttentionResult const nothing = attention.run(exec());
    EXPECT_EQ(nothing.out, std::vector<float>(nothing.out.size(), 0.0F));
    std::vector<std::int32_t> rows(200);
    std::iota(rows.begin(), rows.end(), 0);
    std::vector<std::int64_t> visible(200, 0);
    visible[77] = 200;
    attention.add_item(rows, {{0, 3, 0, 128}}, 3, 333, visible);
    expect_close(attention, attention.run(exec()), attention.run_reference());
}

TEST_P(AttentionCuda, TakesPoolsBeyondFourGigabytes) {
    KvLayout layout{dtype(), 128, 8, 128, 128, KvPacking::rows};
    std::int64_t const shift =
        2 * (std::int64_t{1} << 31) / (layout.block_bytes() / dtype_bytes(dtype()));
    std::int64_t const bytes = (shift + 16) * layout.block_bytes();
    if (test_gpu()->free_bytes() < bytes + (std::int64_t{1} << 30)) {
        GTEST_SKIP() << "needs " << bytes << " bytes of GPU memory";
    }
    CaseShape shape{.dtype = dtype(), .block_slots = 128, .num_kv_heads = 8, .group = 2};
    shape.key_dim = shape.value_dim = 128;
    shape.num_rows = 3;
    shape.pool_blocks = 16;
    AttentionCase attention(shape, 6);
    attention.add_item({0, 1, 2}, {{3, 10, 0, 128}}, 0, 1200);
    AttentionResult const expected = attention.run_reference();
    std::vector<std::byte> const packed = attention.pool_in_rows();
    device::Buffer const pool(test_gpu(), bytes);
    device::Buffer const queries = device::make_buffer(test_gpu(), attention.queries());
    device::Buffer const out(test_gpu(), std::ssize(expected.out) * 4);
    device::Buffer const lse(test_gpu(), std::ssize(expected.lse) * 4);
    device::upload(test_gpu(), pool.data() + shift * layout.block_bytes(), packed.data(),
                   std::ssize(packed));
    std::vector<KvExtent> const extents{{shift + 3, 10, 0, 128}};
    std::vector<std::int32_t> const rows{0, 1, 2};
    std::vector<AttentionItem> const items{{rows, extents, 0, 1200, {}}};
    AttentionArgs call = attention.args();
    call.layout = layout;
    call.pool = pool.data();
    call.queries = queries.data();
    call.out = out.as<float>();
    call.lse = lse.as<float>();
    call.items = items;
    kernels::attention(exec(), call);
    AttentionResult result = expected;
    device::download(test_gpu(), result.out.data(), out.data(), out.bytes());
    device::download(test_gpu(), result.lse.data(), lse.data(), lse.bytes());
    expect_close(attention, result, expected);
}

TEST_P(AttentionCuda, PreparesTheNextStepWhileThisOneIsQueued) {
    // One plan, steps of different sizes, all queued before the first result is looked at.
    AttentionCase const attention = random_attention(range(), 101);
    AttentionArgs call = attention.args();
    call.layout.packing = KvPacking::rows;
    AttentionWork work(exec(), {call.layout, call.num_heads, false});
    std::vector<std::byte> const packed = attention.pool_in_rows();
    device::Buffer const pool = device::make_buffer(test_gpu(), std::span(packed));
    device::Buffer const queries = device::make_buffer(test_gpu(), attention.queries());
    call.pool = pool.data();
    call.queries = queries.data();
    call.work = &work;
    AttentionResult const expected = attention.run_reference();
    std::vector<AttentionItem> const items(attention.items().begin(), attention.items().end());
    std::vector<device::Buffer> out;
    std::vector<device::Buffer> lse;
    for (int step = 0; step < 12; ++step) {
        out.emplace_back(test_gpu(), std::ssize(expected.out) * 4);
        lse.emplace_back(test_gpu(), std::ssize(expected.lse) * 4);
        // Every other step has no items: its rows are zeros.
        call.items = step % 2 == 0 ? std::span(items) : std::span<AttentionItem const>();
        call.out = out.back().as<float>();
        call.lse = lse.back().as<float>();
        work.prepare(call.num_rows, call.items);
        kernels::attention(exec(), call);
    }
    for (int step = 0; step < 12; ++step) {
        AttentionResult result = expected;
        device::download(test_gpu(), result.out.data(), out[step].data(), out[step].bytes());
        device::download(test_gpu(), result.lse.data(), lse[step].data(), lse[step].bytes());
        if (step % 2 == 0) {
            expect_close(attention, result, expected);
        } else {
            EXPECT_EQ(result.out, std::vector<float>(expected.out.size(), 0.0F)) << step;
        }
    }
}

std::string level_name(Level const& level) {
    return std::string(dtype_name(std::get<0>(level))) + "_block" +
           std::to_string(std::get<1>(level)) + "_dim" + std::to_string(std::get<2>(level));
}

INSTANTIATE_TEST_SUITE_P(Levels, AttentionCuda,
                         ::testing::Values(Level{DType::f32, 0, 0}, Level{DType::bf16, 0, 0},
                                           Level{DType::bf16, 16, 0}, Level{DType::bf16, 64, 128},
                                           Level{DType::bf16, 128, 128},
                                           Level{DType::bf16, 128, 64},
                                           Level{DType::bf16, 128, 96}),
                         [](auto const& test) { return level_name(test.param); });

}  // namespace
}  // namespace longhaul::kernels::test
