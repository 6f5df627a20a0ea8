#pragma once

#include "base/types.hpp"

#include <cuda_runtime_api.h>

#include <cstdint>

namespace longhaul::kernels::cuda {

/// c [m, n] = a [m, k] * weight [n, k]^T on the given stream. k > 0.
struct ProductArgs {
    void const* a = nullptr;
    std::int64_t m = 0;
    void const* weight = nullptr;
    std::int64_t n = 0;
    std::int64_t k = 0;
    DType dtype = DType::bf16;
    void* c = nullptr;
    DType c_dtype = DType::f32;
    cudaStream_t stream = nullptr;
};

/// Rows up to which reading the weights is all the work there is.
inline constexpr std::int64_t kMaxSkinnyRows = 16;

// Few rows: the weights are streamed once. Each element is summed in an order that follows from n and k alone, so a row's
// bits depend neither on m nor on the other rows.

/// Requires dtype bf16, m <= kMaxSkinnyRows, k % 8 == 0, a and weight aligned to 16 bytes.
void skinny_bf16(ProductArgs const& args);
/// The same for f32, c too.
void skinny_f32(ProductArgs const& args);
/// Any k, alignment and m; what the others cannot take. Reads the weights again for every 16 rows.
void plain_product(ProductArgs const& args);

}  // namespace longhaul::kernels::cuda
