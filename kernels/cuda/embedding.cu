#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/vector_access.cuh"

namespace longhaul::kernels::cuda {
namespace {

/// A block for a token.
template <int kEach, class T>
__global__ void look_up(TokenId const* tokens, T const* table, Range vocab, int dim, float* out) {
    std::int64_t const token = tokens[blockIdx.x];
    bool const here = vocab.contains(token);
    T const* const row = table + (here ? (token - vocab.begin) * dim : 0);
    float* const to = out + static_cast<std::int64_t>(blockIdx.x) * dim;
    int const step = kEach * static_cast<int>(blockDim.x);
    for (int i = kEach * static_cast<int>(threadIdx.x); i < dim; i += step) {
        float values[kEach] = {};
        if (here) {
            load<kEach>(row + i, values);
        }
        store<kEach>(to + i, values);
    }
}

}  // namespace

void embedding(ExecContext const& exec, EmbeddingArgs const& args) {
    bool const vectors =
        args.dim % 8 == 0 && is_aligned(args.table, 16) && is_aligned(args.out, 16);
    auto const blocks = grid_size(static_cast<std::int64_t>(args.tokens.size()));
    with_element(args.table_dtype, [&](auto element) {
        using T = decltype(element);
        auto const* const table = static_cast<T const*>(args.table);
        auto const launch = [&](auto kernel, int each) {
            int const threads = threads_for(ceil_div(args.dim, each), 256);
            kernel<<<blocks, threads, 0, stream_of(exec)>>>(args.tokens.data(), table, args.vocab,
                                                            checked_cast<int>(args.dim), args.out);
        };
        if (vectors) {
            launch(look_up<8, T>, 8);
        } else {
            launch(look_up<1, T>, 1);
        }
    });
    LH_CUDA_LAUNCHED();
}

}  // namespace longhaul::kernels::cuda
