#pragma once

#include "device/buffer.hpp"
#include "kernels/linear.hpp"

#include <cstddef>
#include <memory>

namespace longhaul::kernels {

/// Zeroed bytes on a cache line boundary, on huge pages: a product reads its weights end to end, and with small pages the
/// address translation costs a third of the memory's rate. Matrices smaller than a page share slabs, which live as long
/// as one of their matrices.
struct WeightBytes {
    std::shared_ptr<std::byte> data;
    std::int64_t size = 0;

    WeightBytes() = default;
    explicit WeightBytes(std::int64_t bytes);
};

/// What the backends keep: reference and cuda row-major [n, k], cpu panels (kernels/cpu/linear_panel.hpp).
struct LinearWeight::Impl {
    Backend backend = Backend::cpu;
    DType dtype = DType::f32;
    std::int64_t n = 0;
    std::int64_t k = 0;
    WeightBytes bytes;
    device::Buffer device_bytes;
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
