#include "kernels/cpu/attention_simd_x86.hpp"
#include "kernels/cpu/attention_tile.hpp"

namespace longhaul::kernels::cpu {

AttentionKernel f32_kernel_avx512() { return make_kernel<Avx512Simd, F32Form>(); }
AttentionKernel bf16_kernel_avx512() { return make_kernel<Avx512Simd, WidenForm>(); }

}  // namespace longhaul::kernels::cpu
