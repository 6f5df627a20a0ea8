#pragma once

#include "base/bfloat16.hpp"
#include "base/types.hpp"

#include <cstddef>
#include <cstring>

namespace longhaul::kernels::reference {

/// One element of a typed array, as a float.
[[nodiscard]] inline float load_element(DType dtype, std::byte const* element) {
    if (dtype == DType::f32) {
        float value = 0.0F;
        std::memcpy(&value, element, sizeof(value));
        return value;
    }
    BFloat16 value;
    std::memcpy(&value, element, sizeof(value));
    return to_float(value);
}

/// Rounds to the type and stores.
inline void store_element(DType dtype, std::byte* element, float value) {
    if (dtype == DType::f32) {
        std::memcpy(element, &value, sizeof(value));
    } else {
        BFloat16 const rounded = to_bfloat16(value);
        std::memcpy(element, &rounded, sizeof(rounded));
    }
}

}  // namespace longhaul::kernels::reference
