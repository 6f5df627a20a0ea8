#pragma once

#include "base/stream.hpp"
#include "base/types.hpp"

#include <cstdint>
#include <memory>

namespace longhaul::device {

/// cuBLASLt with the algorithm of every shape asked for once and kept.
///
/// c [m, n] = a [m, k] * weight [n, k]^T, all row-major and contiguous, f32 accumulation; a and weight of one dtype (bf16, or
/// f32 in full precision: no TF32), c of `c_dtype` (f32, or bf16 with bf16 factors).
/// Repeatable  equal shapes at equally aligned addresses give equal bits; a row's bits may depend on m
/// Errors      DeviceError
class Matmul {
  public:
    explicit Matmul(StreamView stream);
    ~Matmul();
    Matmul(Matmul const&) = delete;
    Matmul& operator=(Matmul const&) = delete;

    /// False where the library has no algorithm for the shape: nothing was done then.
    [[nodiscard]] bool run(void const* a, std::int64_t m, void const* weight, std::int64_t n,
                           std::int64_t k, DType dtype, void* c, DType c_dtype);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace longhaul::device
