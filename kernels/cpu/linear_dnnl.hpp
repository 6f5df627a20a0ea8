#pragma once

#include "kernels/linear_impl.hpp"

namespace longhaul::kernels::cpu {

/// Whether oneDNN multiplies this faster than our tiles: bf16 on processors with matrix tiles (AMX), enough rows to fill
/// them. Elsewhere both run at the rate of the multiply-add units, and ours do not tie a row's bits to the row count.
[[nodiscard]] bool dnnl_is_faster(ExecContext const& exec, DType dtype, std::int64_t m);

/// c = a * weight^T by oneDNN on the panels as they lie. Returns false, c untouched, where oneDNN has no fast
/// implementation for this format. Primitives are kept per thread, the newest few; creating one costs 0.1 to 0.5 ms.
[[nodiscard]] bool dnnl_linear(int threads, void const* a, std::int64_t m,
                               LinearWeight::Impl const& weight, float* c);

}  // namespace longhaul::kernels::cpu
