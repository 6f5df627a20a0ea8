#pragma once

#include "kernels/norm.hpp"

namespace longhaul::kernels {

namespace reference {
void residual_rms_norm(ResidualNormArgs const& args);
void convert(float const* x, std::int64_t count, void* out, DType out_dtype);
void swiglu(float const* gate_up, std::int64_t num_rows, std::int64_t dim, void* out,
            DType out_dtype);
}  // namespace reference

namespace cpu {
void residual_rms_norm(ExecContext const& exec, ResidualNormArgs const& args);
void convert(ExecContext const& exec, float const* x, std::int64_t count, void* out,
             DType out_dtype);
void swiglu(ExecContext const& exec, float const* gate_up, std::int64_t num_rows, std::int64_t dim,
            void* out, DType out_dtype);
}  // namespace cpu

}  // namespace longhaul::kernels
