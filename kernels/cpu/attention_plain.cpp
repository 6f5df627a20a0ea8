#include "kernels/cpu/attention_simd_plain.hpp"
#include "kernels/cpu/attention_tile.hpp"

namespace longhaul::kernels::cpu {

AttentionKernel f32_kernel_plain() { return make_kernel<PlainSimd, F32Form>(); }
AttentionKernel bf16_kernel_plain() { return make_kernel<PlainSimd, WidenForm>(); }

}  // namespace longhaul::kernels::cpu
