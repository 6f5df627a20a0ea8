#pragma once

#include "kernels/exec_context.hpp"

#include <cstdint>

namespace longhaul::kernels::cpu {

/// One row of residual_rms_norm; `delta` and `out` may be null.
struct NormRow {
    float* x = nullptr;
    float const* delta = nullptr;
    float const* weight = nullptr;
    double epsilon = 0.0;
    std::int64_t dim = 0;
    void* out = nullptr;
    bool bf16 = false;
};

/// Part of a row of logits.
struct LogitSpan {
    float max = 0.0F;
    bool finite = true;
    double sum_exp = 0.0;  ///< only when finite
};

/// Row kernels of one instruction set. Rows are independent: bits do not depend on neighbours, addresses or threads.
struct RowKernels {
    void (*norm)(NormRow const& row);
    void (*convert)(float const* x, std::int64_t count, void* out, bool bf16);
    void (*swiglu)(float const* gate, float const* up, std::int64_t dim, void* out, bool bf16);
    LogitSpan (*summarize)(float const* logits, std::int64_t count);
};

[[nodiscard]] RowKernels const& row_kernels(Isa isa);

[[nodiscard]] RowKernels const& row_kernels_plain();
[[nodiscard]] RowKernels const& row_kernels_avx2();
[[nodiscard]] RowKernels const& row_kernels_avx512();

}  // namespace longhaul::kernels::cpu
