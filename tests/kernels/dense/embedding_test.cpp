#include "kernels/embedding.hpp"

#include "kernels/dense/dense_support.hpp"

#include <gtest/gtest.h>

namespace longhaul::kernels::test {
namespace {

std::vector<float> look_up(ExecContext const& exec, std::vector<TokenId> const& tokens,
                           std::vector<float> const& table, DType dtype, Range vocab,
                           std::int64_t dim) {
    std::vector<float> out(tokens.size() * static_cast<std::size_t>(dim), 7.0F);
    std::vector<BFloat16> const rounded = to_bfloat16s(table);
    std::int64_t const first = vocab.begin * dim;
    void const* const slice = dtype == DType::f32
                                  ? static_cast<void const*>(table.data() + first)
                                  : static_cast<void const*>(rounded.data() + first);
    embedding(exec, tokens, slice, dtype, vocab, dim, out.data());
    return out;
}

TEST(Embedding, SlicesAddUpToTheWholeTable) {
    constexpr std::int64_t kVocab = 103;
    for (std::int64_t const dim : {1, 9, 576}) {
        std::vector<float> const table = random_floats(kVocab * dim, 41);
        std::vector<TokenId> tokens = {0, 102, 51, 50, 52, 0, 34, 7};
        for (int i = 0; i < 200; ++i) {
            tokens.push_back(static_cast<TokenId>(i * 37 % kVocab));
        }
        for (DType const dtype : {DType::f32, DType::bf16}) {
            std::vector<float> const whole =
                look_up(reference_context(), tokens, table, dtype, {0, kVocab}, dim);
            for (std::size_t i = 0; i < tokens.size(); ++i) {
                float const entry = table[static_cast<std::size_t>(tokens[i] * dim)];
                EXPECT_EQ(whole[i * static_cast<std::size_t>(dim)],
                          dtype == DType::f32 ? entry : to_float(to_bfloat16(entry)));
            }
            for (ExecContext const& exec : {reference_context(), cpu_context(detect_isa(), 3)}) {
                std::vector<float> sum(whole.size(), 0.0F);
                for (Range const slice : {Range{0, 51}, Range{51, 51}, Range{51, 103}}) {
                    std::vector<float> const part = look_up(exec, tokens, table, dtype, slice, dim);
                    for (std::size_t i = 0; i < sum.size(); ++i) {
                        sum[i] += part[i];
                    }
                }
                EXPECT_EQ(sum, whole);
            }
        }
    }
}

TEST(Embedding, NoTokens) {
    embedding(cpu_context(detect_isa()), {}, nullptr, DType::f32, {0, 0}, 16, nullptr);
}

}  // namespace
}  // namespace longhaul::kernels::test
