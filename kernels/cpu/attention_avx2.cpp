#include "kernels/cpu/attention_simd_x86.hpp"
#include "kernels/cpu/attention_tile.hpp"

namespace longhaul::kernels::cpu {

AttentionKernel f32_kernel_avx2() { return make_kernel<Avx2Simd, F32Form>(); }
AttentionKernel bf16_kernel_avx2() { return make_kernel<Avx2Simd, WidenForm>(); }

}  // namespace longhaul::kernels::cpu
