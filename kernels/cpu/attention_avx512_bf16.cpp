#include "kernels/cpu/attention_simd_x86.hpp"
#include "kernels/cpu/attention_tile.hpp"

namespace longhaul::kernels::cpu {

AttentionKernel bf16_kernel_avx512_bf16() { return make_kernel<Avx512Simd, DotForm>(); }

}  // namespace longhaul::kernels::cpu
