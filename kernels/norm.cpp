#include "kernels/norm.hpp"

#include "base/error.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/norm_backends.hpp"

namespace longhaul::kernels {

void residual_rms_norm(ExecContext const& exec, ResidualNormArgs const& args) {
    LH_EXPECT(args.num_rows >= 0 && args.dim >= 0);
    if (args.num_rows == 0 || args.dim == 0) {
        return;
    }
    LH_EXPECT(args.x != nullptr);
    LH_EXPECT(args.out == nullptr || args.weight != nullptr);
    switch (exec.backend) {
        case Backend::reference:
            reference::residual_rms_norm(args);
            break;
        case Backend::cpu:
            cpu::residual_rms_norm(exec, args);
            break;
        case Backend::cuda:
            cuda::residual_rms_norm(exec, args);
            break;
    }
}

void convert(ExecContext const& exec, float const* x, std::int64_t count, void* out,
             DType out_dtype) {
    LH_EXPECT(count >= 0);
    if (count == 0) {
        return;
    }
    LH_EXPECT(x != nullptr && out != nullptr);
    switch (exec.backend) {
        case Backend::reference:
            reference::convert(x, count, out, out_dtype);
            break;
        case Backend::cpu:
            cpu::convert(exec, x, count, out, out_dtype);
            break;
        case Backend::cuda:
            cuda::convert(exec, x, count, out, out_dtype);
            break;
    }
}

void swiglu(ExecContext const& exec, void const* gate_up, std::int64_t num_rows, std::int64_t dim,
            void* out, DType out_dtype, DType gate_up_dtype) {
    LH_EXPECT(num_rows >= 0 && dim >= 0);
    if (num_rows == 0 || dim == 0) {
        return;
    }
    LH_EXPECT(gate_up != nullptr && out != nullptr);
    LH_EXPECT(gate_up_dtype == DType::f32 || exec.backend == Backend::cuda);
    auto const* const f32 = static_cast<float const*>(gate_up);
    switch (exec.backend) {
        case Backend::reference:
            reference::swiglu(f32, num_rows, dim, out, out_dtype);
            break;
        case Backend::cpu:
            cpu::swiglu(exec, f32, num_rows, dim, out, out_dtype);
            break;
        case Backend::cuda:
            cuda::swiglu(exec, gate_up, gate_up_dtype, num_rows, dim, out, out_dtype);
            break;
    }
}

}  // namespace longhaul::kernels
