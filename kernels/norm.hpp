#pragma once

#include "base/types.hpp"
#include "kernels/exec_context.hpp"

#include <cstdint>

namespace longhaul::kernels {

/// Residual add and RMSNorm in one pass: x += delta (where delta is not null), out = x / rms(x) * weight.
///
/// Shapes   x [num_rows, dim] f32 in and out; delta [num_rows, dim] f32 or null; weight [dim] f32;
///          out [num_rows, dim] of out_dtype, or null when only the residual is wanted
/// Repeatable  each row on its own
struct ResidualNormArgs {
    float* x = nullptr;
    float const* delta = nullptr;
    float const* weight = nullptr;
    double epsilon = 1e-5;
    std::int64_t num_rows = 0;
    std::int64_t dim = 0;
    void* out = nullptr;
    DType out_dtype = DType::f32;
};
void residual_rms_norm(ExecContext const& exec, ResidualNormArgs const& args);

/// out = x converted to out_dtype, `count` elements.
void convert(ExecContext const& exec, float const* x, std::int64_t count, void* out,
             DType out_dtype);

/// SwiGLU: out = silu(gate) * up. gate_up [num_rows, 2 * dim] of gate_up_dtype (cpu: f32), gate first; out [num_rows, dim] of
/// out_dtype.
void swiglu(ExecContext const& exec, void const* gate_up, std::int64_t num_rows, std::int64_t dim,
            void* out, DType out_dtype, DType gate_up_dtype = DType::f32);

}  // namespace longhaul::kernels
