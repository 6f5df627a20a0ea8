#include "base/bfloat16.hpp"
#include "kernels/norm_backends.hpp"

#include <cmath>

namespace longhaul::kernels::reference {

namespace {

void store(void* out, DType dtype, std::int64_t index, double value) {
    auto const rounded = static_cast<float>(value);
    if (dtype == DType::f32) {
        static_cast<float*>(out)[index] = rounded;
    } else {
        static_cast<BFloat16*>(out)[index] = to_bfloat16(rounded);
    }
}

}  // namespace

void residual_rms_norm(ResidualNormArgs const& args) {
    for (std::int64_t row = 0; row < args.num_rows; ++row) {
        float* const x = args.x + row * args.dim;
        double squares = 0.0;
        for (std::int64_t i = 0; i < args.dim; ++i) {
            if (args.delta != nullptr) {
                x[i] += args.delta[row * args.dim + i];
            }
            squares += static_cast<double>(x[i]) * x[i];
        }
        if (args.out == nullptr) {
            continue;
        }
        double const rms = std::sqrt(squares / static_cast<double>(args.dim) + args.epsilon);
        for (std::int64_t i = 0; i < args.dim; ++i) {
            store(args.out, args.out_dtype, row * args.dim + i, x[i] / rms * args.weight[i]);
        }
    }
}

void convert(float const* x, std::int64_t count, void* out, DType out_dtype) {
    for (std::int64_t i = 0; i < count; ++i) {
        store(out, out_dtype, i, x[i]);
    }
}

void swiglu(float const* gate_up, std::int64_t num_rows, std::int64_t dim, void* out,
            DType out_dtype) {
    for (std::int64_t row = 0; row < num_rows; ++row) {
        float const* const gate = gate_up + row * 2 * dim;
        float const* const up = gate + dim;
        for (std::int64_t i = 0; i < dim; ++i) {
            double const silu = gate[i] / (1.0 + std::exp(-static_cast<double>(gate[i])));
            store(out, out_dtype, row * dim + i, silu * up[i]);
        }
    }
}

}  // namespace longhaul::kernels::reference
