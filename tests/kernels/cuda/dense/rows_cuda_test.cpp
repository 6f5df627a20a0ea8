#include "kernels/cuda/dense/cuda_support.hpp"
#include "kernels/embedding.hpp"
#include "kernels/rows.hpp"

#include <algorithm>
#include <random>

namespace longhaul::kernels::test {
namespace {

using RowsCuda = CudaTest;

TEST_F(RowsCuda, CopiesTheRowsNamed) {
    for (std::int64_t const width : {1, 3, 4, 64, 1000, 4096}) {
        for (std::int64_t const gap : {0, 3, 4}) {
            std::int64_t const rows = 29;
            std::int64_t const stride = width + gap;
            std::vector<float> const from = random_floats(rows * stride, next_seed());
            std::vector<float> const to = random_floats(rows * stride, next_seed());
            std::vector<std::int32_t> from_rows(static_cast<std::size_t>(rows));
            std::vector<std::int32_t> to_rows(static_cast<std::size_t>(rows));
            std::mt19937 random(next_seed());
            for (std::size_t i = 0; i < from_rows.size(); ++i) {
                from_rows[i] = static_cast<std::int32_t>(random() % 29);
                to_rows[i] = static_cast<std::int32_t>(i);
            }
            std::shuffle(to_rows.begin(), to_rows.end(), random);
            device::Buffer const from_list = put(from_rows);
            device::Buffer const to_list = put(to_rows);
            device::Buffer const from_gpu = put(from);
            for (int const lists : {0, 1, 2, 3}) {
                std::int64_t const moved = 11;
                auto const choose = [&](int bit, auto list) {
                    return (lists & bit) != 0 ? list : decltype(list){};
                };
                std::vector<float> expected = to;
                copy_rows(
                    reference_context(),
                    {from.data(), stride,
                     choose(1, std::span<std::int32_t const>(from_rows).first(11)), expected.data(),
                     stride, choose(2, std::span<std::int32_t const>(to_rows).first(11)), moved,
                     width});
                device::Buffer const to_gpu = put(to);
                copy_rows(
                    exec(),
                    {from_gpu.as<float>(), stride,
                     choose(1, device_span<std::int32_t>(from_list, moved)), to_gpu.as<float>(),
                     stride, choose(2, device_span<std::int32_t>(to_list, moved)), moved, width});
                ASSERT_EQ(get<float>(to_gpu.data(), rows * stride), expected)
                    << width << ' ' << gap << ' ' << lists;
            }
        }
    }
    copy_rows(exec(), {});
}

TEST_F(RowsCuda, EmbeddingIsTheTablesRowOrZeros) {
    Range const vocab{100, 333};
    std::vector<TokenId> const tokens{100, 332, 99, 333, 0, 200, -1, 2'000'000'000, 101, 101};
    device::Buffer const on_gpu = put(tokens);
    auto const count = static_cast<std::int64_t>(tokens.size());
    for (std::int64_t const dim : {1, 7, 8, 64, 576, 4096}) {
        for (DType const dtype : {DType::f32, DType::bf16}) {
            std::vector<float> const table = random_floats(vocab.size() * dim, next_seed());
            std::vector<BFloat16> const rounded = to_bfloat16s(table);
            std::vector<float> expected(static_cast<std::size_t>(count * dim));
            embedding(reference_context(), tokens,
                      dtype == DType::f32 ? static_cast<void const*>(table.data()) : rounded.data(),
                      dtype, vocab, dim, expected.data());
            device::Buffer const table_gpu = dtype == DType::f32 ? put(table) : put(rounded);
            device::Buffer const out = poisoned(count * dim * 4);
            embedding(exec(), device_span<TokenId>(on_gpu, count), table_gpu.data(), dtype, vocab,
                      dim, out.as<float>());
            ASSERT_EQ(get<float>(out.data(), count * dim), expected) << dim;
            // An empty slice has no table at all.
            device::Buffer const zeros = poisoned(count * dim * 4);
            embedding(exec(), device_span<TokenId>(on_gpu, count), nullptr, dtype, {5, 5}, dim,
                      zeros.as<float>());
            ASSERT_EQ(get<float>(zeros.data(), count * dim),
                      std::vector<float>(static_cast<std::size_t>(count * dim)));
        }
    }
    embedding(exec(), {}, nullptr, DType::f32, vocab, 8, nullptr);
}

}  // namespace
}  // namespace longhaul::kernels::test
