#pragma once

#include "kernels/linear.hpp"

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace longhaul::kernels {

struct FreeDeleter {
    void operator()(void* pointer) const { std::free(pointer); }
};

/// Bytes on a cache line boundary; large ones on huge pages, since a product reads them end to end.
struct WeightBytes {
    std::unique_ptr<std::byte, FreeDeleter> data;
    std::int64_t size = 0;

    WeightBytes() = default;
    explicit WeightBytes(std::int64_t bytes);  ///< zeroed
};

/// What the backends keep: reference row-major [n, k], cpu panels (kernels/cpu/linear_panel.hpp).
struct LinearWeight::Impl {
    Backend backend = Backend::cpu;
    DType dtype = DType::f32;
    std::int64_t n = 0;
    std::int64_t k = 0;
    WeightBytes bytes;
};

namespace reference {
void pack_linear(float const* weight, std::int64_t ld, LinearWeight::Impl& impl);
void linear(void const* a, std::int64_t m, LinearWeight::Impl const& weight, float* c);
}  // namespace reference

namespace cpu {
void pack_linear(ExecContext const& exec, float const* weight, std::int64_t ld,
                 LinearWeight::Impl& impl);
void linear(ExecContext const& exec, void const* a, std::int64_t m,
            LinearWeight::Impl const& weight, float* c);
}  // namespace cpu

}  // namespace longhaul::kernels
