#pragma once

#include <cstdint>

namespace longhaul {

using TokenId = std::int32_t;     ///< vocabulary entry
using SequenceId = std::int64_t;  ///< dense number of a sequence inside one replica, from 0
using StepIndex = std::int64_t;   ///< number of a step of one replica, from 0; every number exists

/// Element type of activations, weights and KV cache.
enum class DType { f32, bf16 };

[[nodiscard]] constexpr std::int64_t dtype_bytes(DType dtype) {
    return dtype == DType::f32 ? 4 : 2;
}
[[nodiscard]] constexpr char const* dtype_name(DType dtype) {
    return dtype == DType::f32 ? "f32" : "bf16";
}

}  // namespace longhaul
