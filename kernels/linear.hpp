#pragma once

#include "base/types.hpp"
#include "device/buffer.hpp"
#include "kernels/exec_context.hpp"

#include <cstdint>
#include <memory>

namespace longhaul::kernels {

/// Weight [n, k] of a linear layer in the form the backend multiplies fastest (packed once at load, no other copy kept).
/// The CPU backend pads n to a multiple of 64 and k to one of 32 (f32: 16); bytes() counts that.
class LinearWeight {
  public:
    struct Impl;

    LinearWeight();
    ~LinearWeight();
    LinearWeight(LinearWeight&&) noexcept;
    LinearWeight& operator=(LinearWeight&&) noexcept;

    /// Packs a row-major f32 matrix in host memory (leading dimension ld >= k), rounded to `dtype`. n or k may be 0 (an empty slice).
    static LinearWeight pack(ExecContext const& exec, float const* weight, std::int64_t n,
                             std::int64_t k, std::int64_t ld, DType dtype);

    /// Takes over a matrix that lies in the GPU's memory already (cuda only): row-major [n, k] of `dtype`, contiguous.
    static LinearWeight adopt(ExecContext const& exec, device::Buffer matrix, std::int64_t n,
                              std::int64_t k, DType dtype);

    [[nodiscard]] std::int64_t n() const;
    [[nodiscard]] std::int64_t k() const;
    [[nodiscard]] DType dtype() const;
    [[nodiscard]] std::int64_t bytes() const;
    [[nodiscard]] Impl const& impl() const { return *impl_; }

  private:
    std::unique_ptr<Impl> impl_;
};

/// c [m, n] = a [m, k] * weight^T, f32 accumulation.
///
/// Shapes   a row-major of weight.dtype(), contiguous; c row-major f32, contiguous, overwritten (k = 0 gives zeros)
/// Requires the backend the weight was packed with; no overlap of a and c
/// Repeatable  same m, same bits, on any number of threads. A row's bits may depend on m where oneDNN runs it (bf16 with AMX),
///          so deterministic runs call this once per sequence; the CPU backend's own tiles give a row the same bits always.
/// Accuracy bf16 products are exact. With native BF16 instructions subnormal factors and sums count as zero.
void linear(ExecContext const& exec, void const* a, std::int64_t m, LinearWeight const& weight,
            float* c);
/// The same into c of `c_dtype`: bf16 (cuda only, with bf16 weights) halves the traffic of wide results.
void linear(ExecContext const& exec, void const* a, std::int64_t m, LinearWeight const& weight,
            void* c, DType c_dtype);

}  // namespace longhaul::kernels
