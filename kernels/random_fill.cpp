#include "kernels/random_fill.hpp"

#include "base/bfloat16.hpp"
#include "base/error.hpp"
#include "kernels/cpu/linear_parallel.hpp"
#include "kernels/cuda/backend.hpp"

namespace longhaul::kernels {
namespace {

template <class T>
void fill_row(RandomMatrix const& matrix, std::int64_t row, Range cols, T* out) {
    for (std::int64_t col = cols.begin; col < cols.end; ++col) {
        float const value = matrix.at(row, col);
        if constexpr (sizeof(T) == sizeof(float)) {
            out[col - cols.begin] = value;
        } else {
            out[col - cols.begin] = to_bfloat16(value);
        }
    }
}

}  // namespace

void fill_random(ExecContext const& exec, RandomMatrix const& matrix, Range rows, Range cols,
                 void* out, DType dtype) {
    if (rows.empty() || cols.empty()) {
        return;
    }
    LH_EXPECT(rows.begin >= 0 && cols.begin >= 0 && cols.end <= matrix.cols && out != nullptr);
    if (exec.backend == Backend::cuda) {
        cuda::fill_random(exec, matrix, rows, cols, out, dtype);
        return;
    }
    cpu::parallel_for(exec.threads, rows.size(), [&](std::int64_t i) {
        if (dtype == DType::f32) {
            fill_row(matrix, rows.begin + i, cols, static_cast<float*>(out) + i * cols.size());
        } else {
            fill_row(matrix, rows.begin + i, cols, static_cast<BFloat16*>(out) + i * cols.size());
        }
    });
}

}  // namespace longhaul::kernels
