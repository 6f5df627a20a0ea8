#include "kernels/linear.hpp"

#include "base/checked.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/linear_impl.hpp"

#include <sys/mman.h>
#include <cstring>
#include <utility>

namespace longhaul::kernels {

LinearWeight::LinearWeight() : impl_(std::make_unique<Impl>()) {}
LinearWeight::~LinearWeight() = default;
LinearWeight::LinearWeight(LinearWeight&&) noexcept = default;
LinearWeight& LinearWeight::operator=(LinearWeight&&) noexcept = default;

std::int64_t LinearWeight::n() const { return impl_->n; }
std::int64_t LinearWeight::k() const { return impl_->k; }
DType LinearWeight::dtype() const { return impl_->dtype; }
std::int64_t LinearWeight::bytes() const { return impl_->bytes.size + impl_->device_bytes.bytes(); }

LinearWeight LinearWeight::pack(ExecContext const& exec, float const* weight, std::int64_t n,
                                std::int64_t k, std::int64_t ld, DType dtype) {
    LH_EXPECT(n >= 0 && k >= 0 && ld >= k);
    LH_EXPECT(n == 0 || k == 0 || weight != nullptr);
    LinearWeight packed;
    Impl& impl = *packed.impl_;
    impl.backend = exec.backend;
    impl.dtype = dtype;
    impl.n = n;
    impl.k = k;
    if (n == 0 || k == 0) {
        return packed;
    }
    switch (exec.backend) {
        case Backend::reference:
            reference::pack_linear(weight, ld, impl);
            break;
        case Backend::cpu:
            cpu::pack_linear(exec, weight, ld, impl);
            break;
        case Backend::cuda:
            cuda::pack_linear(exec, weight, ld, impl);
            break;
    }
    return packed;
}

LinearWeight LinearWeight::adopt(ExecContext const& exec, device::Buffer matrix, std::int64_t n,
                                 std::int64_t k, DType dtype) {
    LH_EXPECT(exec.backend == Backend::cuda && n >= 0 && k >= 0);
    LH_EXPECT(matrix.bytes() == n * k * dtype_bytes(dtype));
    LinearWeight taken;
    Impl& impl = *taken.impl_;
    impl.backend = exec.backend;
    impl.dtype = dtype;
    impl.n = n;
    impl.k = k;
    impl.device_bytes = std::move(matrix);
    return taken;
}

void linear(ExecContext const& exec, void const* a, std::int64_t m, LinearWeight const& weight,
            float* c) {
    linear(exec, a, m, weight, c, DType::f32);
}

void linear(ExecContext const& exec, void const* a, std::int64_t m, LinearWeight const& weight,
            void* c, DType c_dtype) {
    LinearWeight::Impl const& impl = weight.impl();
    LH_EXPECT(m >= 0);
    if (m == 0 || impl.n == 0) {
        return;
    }
    LH_EXPECT(c != nullptr);
    if (exec.backend == Backend::cuda) {
        cuda::linear(exec, a, m, impl, c, c_dtype);
        return;
    }
    LH_EXPECT(c_dtype == DType::f32);
    auto* const f32 = static_cast<float*>(c);
    if (impl.k == 0) {
        std::memset(c, 0, static_cast<std::size_t>(m * impl.n) * sizeof(float));
        return;
    }
    LH_EXPECT(a != nullptr);
    LH_EXPECT(exec.backend == impl.backend);
    switch (exec.backend) {
        case Backend::reference:
            reference::linear(a, m, impl, f32);
            break;
        case Backend::cpu:
            cpu::linear(exec, a, m, impl, f32);
            break;
        case Backend::cuda:
            break;
    }
}

}  // namespace longhaul::kernels
