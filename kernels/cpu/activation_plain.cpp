#include "kernels/cpu/activation_rows.hpp"

namespace longhaul::kernels::cpu {

RowKernels const& row_kernels_plain() { return kRowKernels; }

}  // namespace longhaul::kernels::cpu
