#include "base/bfloat16.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/norm_backends.hpp"

#include <algorithm>
#include <memory>

namespace longhaul::kernels::cuda {
namespace {

/// Converted at a time: loading a large matrix must not need a second copy of it in host memory.
constexpr std::int64_t kPieceBytes = std::int64_t{4} << 20;

}  // namespace

void pack_linear(ExecContext const& exec, float const* weight, std::int64_t ld,
                 LinearWeight::Impl& impl) {
    std::int64_t const element = dtype_bytes(impl.dtype);
    std::int64_t const row_bytes = impl.k * element;
    impl.device_bytes = device::Buffer(exec.gpu, impl.n * row_bytes);
    if (impl.dtype == DType::f32 && ld == impl.k) {
        device::upload(exec.gpu, impl.device_bytes.data(), weight, impl.n * row_bytes);
        return;
    }
    std::int64_t const piece = std::min(impl.n, std::max<std::int64_t>(1, kPieceBytes / row_bytes));
    auto const staging =
        std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(piece * row_bytes));
    for (std::int64_t begin = 0; begin < impl.n; begin += piece) {
        std::int64_t const rows = std::min(piece, impl.n - begin);
        if (ld == impl.k) {
            cpu::convert(exec, weight + begin * ld, rows * impl.k, staging.get(), impl.dtype);
        } else {
            for (std::int64_t row = 0; row < rows; ++row) {
                cpu::convert(exec, weight + (begin + row) * ld, impl.k,
                             staging.get() + row * row_bytes, impl.dtype);
            }
        }
        // Returns once the staging memory may be written again.
        device::upload(exec.gpu, impl.device_bytes.data() + begin * row_bytes, staging.get(),
                       rows * row_bytes);
    }
}

}  // namespace longhaul::kernels::cuda
