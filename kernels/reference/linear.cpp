#include "base/bfloat16.hpp"
#include "kernels/linear_impl.hpp"

namespace longhaul::kernels::reference {

namespace {

double element(void const* data, DType dtype, std::int64_t index) {
    return dtype == DType::f32 ? static_cast<float const*>(data)[index]
                               : to_float(static_cast<BFloat16 const*>(data)[index]);
}

}  // namespace

void pack_linear(float const* weight, std::int64_t ld, LinearWeight::Impl& impl) {
    impl.bytes = WeightBytes(impl.n * impl.k * dtype_bytes(impl.dtype));
    for (std::int64_t row = 0; row < impl.n; ++row) {
        for (std::int64_t column = 0; column < impl.k; ++column) {
            float const value = weight[row * ld + column];
            std::int64_t const index = row * impl.k + column;
            if (impl.dtype == DType::f32) {
                reinterpret_cast<float*>(impl.bytes.data.get())[index] = value;
            } else {
                reinterpret_cast<BFloat16*>(impl.bytes.data.get())[index] = to_bfloat16(value);
            }
        }
    }
}

void linear(void const* a, std::int64_t m, LinearWeight::Impl const& weight, float* c) {
    for (std::int64_t row = 0; row < m; ++row) {
        for (std::int64_t column = 0; column < weight.n; ++column) {
            double sum = 0.0;
            for (std::int64_t i = 0; i < weight.k; ++i) {
                sum += element(a, weight.dtype, row * weight.k + i) *
                       element(weight.bytes.data.get(), weight.dtype, column * weight.k + i);
            }
            c[row * weight.n + column] = static_cast<float>(sum);
        }
    }
}

}  // namespace longhaul::kernels::reference
