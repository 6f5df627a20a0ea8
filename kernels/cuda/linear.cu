#include "device/buffer.hpp"
#include "device/matmul.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/linear_skinny.hpp"

namespace longhaul::kernels::cuda {

void linear(ExecContext const& exec, void const* a, std::int64_t m,
            LinearWeight::Impl const& weight, void* c, DType c_dtype) {
    LH_EXPECT(weight.backend == Backend::cuda);
    LH_EXPECT(c_dtype == DType::f32 || weight.dtype == DType::bf16);
    if (weight.k == 0) {
        device::fill_zero(exec.gpu, c, m * weight.n * dtype_bytes(c_dtype));
        return;
    }
    LH_EXPECT(a != nullptr);
    ProductArgs const args{a,        m,        weight.device_bytes.data(),
                           weight.n, weight.k, weight.dtype,
                           c,        c_dtype,  stream_of(exec)};
    if (m <= kMaxSkinnyRows && weight.k % 8 == 0 && is_aligned(a, 16)) {
        if (weight.dtype == DType::bf16) {
            skinny_bf16(args);
        } else {
            skinny_f32(args);
        }
    } else if (m <= kMaxSkinnyRows ||
               !exec.gpu->matmul().run(a, m, args.weight, args.n, args.k, args.dtype, c, c_dtype)) {
        plain_product(args);
    }
}

}  // namespace longhaul::kernels::cuda
