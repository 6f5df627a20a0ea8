#include "kernels/cuda/dense/cuda_support.hpp"
#include "kernels/reference/load_element.hpp"
#include "kernels/rope_kv.hpp"
#include "support/tolerance.hpp"

#include <random>

namespace longhaul::kernels::test {
namespace {

using reference::load_element;

class RopeKvCuda : public CudaTest {
  protected:
    struct Case {
        KvLayout layout;  ///< of the GPU
        std::int64_t num_heads = 0;
        std::int64_t num_rows = 0;
        std::int64_t num_blocks = 0;
        DType qkv_dtype = DType::f32;
        std::vector<float> qkv;  ///< rounded to qkv_dtype
        std::vector<float> table;
        std::vector<KvSlot> slots;
    };
    struct Result {
        std::vector<std::byte> pool;
        std::vector<std::byte> queries;
    };

    Case make(DType dtype, DType qkv_dtype, std::int64_t head_dim, std::int64_t num_heads,
              std::int64_t kv_heads, std::int64_t num_rows) {
        Case made;
        made.layout = {dtype, 32, kv_heads, head_dim, head_dim, KvPacking::rows};
        made.num_heads = num_heads;
        made.num_rows = num_rows;
        made.num_blocks = num_rows / 32 + 3;
        made.qkv_dtype = qkv_dtype;
        made.qkv = random_floats(num_rows * (num_heads + 2 * kv_heads) * head_dim, next_seed());
        for (float& value : made.qkv) {
            value = qkv_dtype == DType::f32 ? value : to_float(to_bfloat16(value));
        }
        std::vector<std::int64_t> positions;
        for (std::int64_t row = 0; row < num_rows; ++row) {
            positions.push_back(2'900'000 + 13 * row);
            std::int64_t const slot = 13 + row;
            // Consecutive slots over the ends of blocks that lie backwards; some rows are another rank's.
            made.slots.push_back(row % 7 == 6 ? KvSlot{}
                                              : KvSlot{made.num_blocks - 1 - slot / 32, slot % 32});
        }
        made.table.resize(static_cast<std::size_t>(num_rows * head_dim));
        rope_table(ExecContext{}, positions, head_dim, 500000.0, made.table.data());
        return made;
    }

    [[nodiscard]] Result run_on_gpu(Case const& work) const {
        std::int64_t const pool_bytes = work.num_blocks * work.layout.block_bytes();
        std::int64_t const query_bytes =
            work.num_rows * work.num_heads * work.layout.key_dim * dtype_bytes(work.layout.dtype);
        device::Buffer const pool = poisoned(pool_bytes);
        device::Buffer const queries = poisoned(query_bytes);
        device::Buffer const qkv =
            work.qkv_dtype == DType::f32 ? put(work.qkv) : put(to_bfloat16s(work.qkv));
        device::Buffer const table = put(work.table);
        device::Buffer const slots = put(work.slots);
        rope_and_write_kv(
            exec(),
            {work.layout, pool.data(), qkv.data(), table.as<float>(), work.num_rows, work.num_heads,
             device_span<KvSlot>(slots, work.num_rows), queries.data(), work.qkv_dtype});
        return {get<std::byte>(pool.data(), pool_bytes),
                get<std::byte>(queries.data(), query_bytes)};
    }
    /// The reference packs for the CPU; places are compared by the layouts' offsets.
    static Result run_reference(Case const& work, KvLayout const& layout) {
        Result result{
            std::vector<std::byte>(static_cast<std::size_t>(work.num_blocks * layout.block_bytes()),
                                   std::byte{0xff}),
            std::vector<std::byte>(static_cast<std::size_t>(
                work.num_rows * work.num_heads * layout.key_dim * dtype_bytes(layout.dtype)))};
        rope_and_write_kv(reference_context(), {layout, result.pool.data(), work.qkv.data(),
                                                work.table.data(), work.num_rows, work.num_heads,
                                                work.slots, result.queries.data(), DType::f32});
        return result;
    }
};

double bound(DType dtype, double value) {
    return (dtype == DType::f32 ? 0.0 : test_support::kBfloat16Step * std::abs(value)) + 4e-6;
}

TEST_F(RopeKvCuda, WritesWhatTheReferenceWritesAndNothingElse) {
    for (DType const dtype : {DType::f32, DType::bf16}) {
        for (DType const qkv_dtype : {DType::f32, DType::bf16}) {
            for (std::int64_t const head_dim : {2, 6, 8, 24, 64, 72, 128, 256}) {
                Case const work = make(dtype, qkv_dtype, head_dim, 9, 3, 41);
                KvLayout simd = work.layout;
                simd.packing = KvPacking::simd;
                Result const got = run_on_gpu(work);
                Result const expected = run_reference(work, simd);
                std::int64_t const element = dtype_bytes(dtype);
                auto const check = [&](std::vector<std::byte> const& a, std::int64_t at_a,
                                       std::vector<std::byte> const& b, std::int64_t at_b) {
                    float const value = load_element(dtype, &b[static_cast<std::size_t>(at_b)]);
                    ASSERT_TRUE(agree(load_element(dtype, &a[static_cast<std::size_t>(at_a)]),
                                      value, bound(dtype, value)))
                        << dtype_name(dtype) << " head_dim " << head_dim << " byte " << at_a;
                };
                for (std::int64_t i = 0; i < std::ssize(got.queries); i += element) {
                    check(got.queries, i, expected.queries, i);
                }
                for (std::int64_t block = 0; block < work.num_blocks; ++block) {
                    for (std::int64_t i = 0; i < 3 * 32 * head_dim; ++i) {
                        std::int64_t const head = i / (32 * head_dim);
                        std::int64_t const slot = i / head_dim % 32;
                        std::int64_t const dim = i % head_dim;
                        std::int64_t const begin = block * simd.block_bytes();
                        check(got.pool, begin + work.layout.key_offset(head, slot, dim),
                              expected.pool, begin + simd.key_offset(head, slot, dim));
                        check(got.pool, begin + work.layout.value_offset(head, slot, dim),
                              expected.pool, begin + simd.value_offset(head, slot, dim));
                    }
                }
                if (HasFatalFailure()) {
                    return;
                }
            }
        }
    }
}

TEST_F(RopeKvCuda, TableIsTheHosts) {
    std::mt19937_64 random(next_seed());
    std::vector<std::int64_t> positions{0, 1, 4'194'303, 10'000'019};
    for (int i = 0; i < 200; ++i) {
        positions.push_back(static_cast<std::int64_t>(random() % 20'000'000));
    }
    device::Buffer const on_gpu = put(positions);
    auto const rows = static_cast<std::int64_t>(positions.size());
    for (std::int64_t const head_dim : {2, 64, 80, 128, 256}) {
        std::vector<float> expected(static_cast<std::size_t>(rows * head_dim));
        rope_table(reference_context(), positions, head_dim, 500000.0, expected.data());
        device::Buffer const table = poisoned(rows * head_dim * 4);
        rope_table(exec(), device_span<std::int64_t>(on_gpu, rows), head_dim, 500000.0,
                   table.as<float>());
        std::vector<float> const got = get<float>(table.data(), rows * head_dim);
        for (std::size_t i = 0; i < got.size(); ++i) {
            float const below = std::nextafter(expected[i], -2.0F);
            float const above = std::nextafter(expected[i], 2.0F);
            ASSERT_TRUE(got[i] >= below && got[i] <= above) << got[i] << ' ' << expected[i];
        }
    }
    rope_table(exec(), {}, 64, 1e4, nullptr);
}

/// Past 2^31 elements, and past 2^32 bytes.
TEST_F(RopeKvCuda, PoolPast2To31Elements) {
    Case work = make(DType::bf16, DType::bf16, 128, 2, 2, 3);
    std::int64_t const block = (std::int64_t{1} << 32) / work.layout.block_bytes() + 5;
    std::int64_t const bytes = (block + 1) * work.layout.block_bytes();
    if (gpu().free_bytes() < bytes + (std::int64_t{1} << 30)) {
        GTEST_SKIP() << "not enough device memory free";
    }
    work.slots = {{1, 7}, {block, 31}, {-1, 0}};
    device::Buffer const pool(&gpu(), bytes);
    device::fill_zero(&gpu(), pool.data(), bytes);
    device::Buffer const queries = poisoned(3 * 2 * 128 * 2);
    device::Buffer const qkv = put(to_bfloat16s(work.qkv));
    device::Buffer const table = put(work.table);
    device::Buffer const slots = put(work.slots);
    rope_and_write_kv(exec(), {work.layout, pool.data(), qkv.data(), table.as<float>(), 3, 2,
                               device_span<KvSlot>(slots, 3), queries.data(), DType::bf16});
    for (std::int64_t const row : {0, 1}) {
        KvSlot const& target = work.slots[static_cast<std::size_t>(row)];
        for (std::int64_t const head : {0, 1}) {
            std::vector<BFloat16> const values =
                get<BFloat16>(pool.data() + target.block * work.layout.block_bytes() +
                                  work.layout.value_offset(head, target.slot, 0),
                              128);
            for (std::int64_t e = 0; e < 128; ++e) {
                ASSERT_EQ(to_float(values[static_cast<std::size_t>(e)]),
                          work.qkv[static_cast<std::size_t>((row * 6 + 4 + head) * 128 + e)]);
            }
        }
    }
}

}  // namespace
}  // namespace longhaul::kernels::test
