#pragma once

#include "kernels/cuda/attention_work.hpp"

#include <cuda.h>

#include <cstdint>

namespace longhaul::kernels::cuda {

/// How the copy engine sees a pool of bf16 blocks of `block_slots` slots with equal key and value dims, multiples of 64:
/// box (0, 0, 0, (block * kv heads + head) * 2 + (0: keys, 1: values)) is a whole tile, laid down as [dim / 64][slot][64]
/// with the 128-byte swizzle. Blocks [0, num_blocks).
[[nodiscard]] CUtensorMap pool_tensor_map(AttentionView const& view, std::int64_t block_slots,
                                          std::int64_t num_blocks);

}  // namespace longhaul::kernels::cuda
