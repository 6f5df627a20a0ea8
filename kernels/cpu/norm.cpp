#include "base/range.hpp"
#include "kernels/cpu/activation.hpp"
#include "kernels/cpu/linear_parallel.hpp"
#include "kernels/norm_backends.hpp"

namespace longhaul::kernels::cpu {

namespace {

/// Elements per thread below which a parallel region costs more than it saves.
constexpr std::int64_t kMinimumElements = std::int64_t{16} << 10;

int useful_threads(ExecContext const& exec, std::int64_t elements) {
    std::int64_t const useful = ceil_div(elements, kMinimumElements);
    return useful < exec.threads ? static_cast<int>(useful) : exec.threads;
}

std::byte* advance(void* out, DType dtype, std::int64_t elements) {
    return static_cast<std::byte*>(out) + elements * dtype_bytes(dtype);
}

}  // namespace

RowKernels const& row_kernels(Isa isa) {
    switch (isa) {
        case Isa::plain:
            return row_kernels_plain();
        case Isa::avx2:
            return row_kernels_avx2();
        case Isa::avx512:
        case Isa::avx512_bf16:
            return row_kernels_avx512();
    }
    return row_kernels_plain();
}

void residual_rms_norm(ExecContext const& exec, ResidualNormArgs const& args) {
    RowKernels const& kernels = row_kernels(exec.isa);
    int const threads = useful_threads(exec, args.num_rows * args.dim);
    parallel_for(threads, args.num_rows, [&](std::int64_t row) {
        std::int64_t const offset = row * args.dim;
        NormRow one;
        one.x = args.x + offset;
        one.delta = args.delta == nullptr ? nullptr : args.delta + offset;
        one.weight = args.weight;
        one.epsilon = args.epsilon;
        one.dim = args.dim;
        one.out = args.out == nullptr ? nullptr : advance(args.out, args.out_dtype, offset);
        one.bf16 = args.out_dtype == DType::bf16;
        kernels.norm(one);
    });
}

void convert(ExecContext const& exec, float const* x, std::int64_t count, void* out,
             DType out_dtype) {
    RowKernels const& kernels = row_kernels(exec.isa);
    int const threads = useful_threads(exec, count);
    parallel_for(threads, threads, [&](std::int64_t part) {
        Range const range = split_range(count, threads, part, 64);
        kernels.convert(x + range.begin, range.size(), advance(out, out_dtype, range.begin),
                        out_dtype == DType::bf16);
    });
}

void swiglu(ExecContext const& exec, float const* gate_up, std::int64_t num_rows, std::int64_t dim,
            void* out, DType out_dtype) {
    RowKernels const& kernels = row_kernels(exec.isa);
    int const threads = useful_threads(exec, num_rows * dim);
    parallel_for(threads, num_rows, [&](std::int64_t row) {
        float const* const gate = gate_up + row * 2 * dim;
        kernels.swiglu(gate, gate + dim, dim, advance(out, out_dtype, row * dim),
                       out_dtype == DType::bf16);
    });
}

}  // namespace longhaul::kernels::cpu
