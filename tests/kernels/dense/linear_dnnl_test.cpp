#include "kernels/cpu/linear_dnnl.hpp"

#include "kernels/dense/linear_case.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace longhaul::kernels::test {
namespace {

/// Empty where oneDNN has nothing fast for this processor.
std::vector<float> multiply_by_dnnl(Inputs const& in, int threads) {
    LinearWeight const weight = in.pack(cpu_context(detect_isa()));
    std::vector<float> c(static_cast<std::size_t>(in.shape.m * in.shape.n), -77.0F);
    bool const done =
        cpu::dnnl_linear(threads, in.activations(), in.shape.m, weight.impl(), c.data());
    return done ? c : std::vector<float>{};
}

TEST(DnnlLinear, ReadsOurPanels) {
    int products = 0;
    std::uint32_t seed = 100;
    for (Problem const& problem :
         {Problem{1, 8, 8}, Problem{16, 64, 64}, Problem{17, 100, 40}, Problem{33, 24, 576},
          Problem{64, 130, 24}, Problem{40, 65, 31}, Problem{20, 7, 1100}}) {
        for (DType const dtype : {DType::f32, DType::bf16}) {
            Inputs const in(problem, dtype, ++seed);
            for (int const threads : {1, 2}) {
                std::vector<float> const c = multiply_by_dnnl(in, threads);
                if (c.empty()) {
                    continue;
                }
                ++products;
                expect_close(c, in, "oneDNN");
            }
        }
    }
    if (products == 0) {
        GTEST_SKIP() << "oneDNN has no blocked product on this processor";
    }
}

TEST(DnnlLinear, ManyRowCountsOnSeveralThreads) {
    std::vector<std::jthread> ranks;
    for (std::uint32_t rank = 0; rank < 3; ++rank) {
        ranks.emplace_back([rank] {
            // More products than a thread keeps, some of them again.
            for (std::int64_t i = 0; i < 180; ++i) {
                Inputs const in({1 + i % 150, 9, 16}, DType::bf16, rank);
                std::vector<float> const c = multiply_by_dnnl(in, 1);
                if (c.empty()) {
                    return;
                }
                expect_close(c, in, "cached");
            }
        });
    }
}

}  // namespace
}  // namespace longhaul::kernels::test
