#include "base/bfloat16.hpp"
#include "kernels/cpu/linear_parallel.hpp"
#include "kernels/embedding_backends.hpp"

#include <algorithm>

namespace longhaul::kernels::cpu {

void embedding(ExecContext const& exec, EmbeddingArgs const& args) {
    constexpr std::int64_t kMinimumElements = std::int64_t{64} << 10;
    auto const num_tokens = static_cast<std::int64_t>(args.tokens.size());
    bool const small = num_tokens * args.dim < kMinimumElements;
    parallel_for(small ? 1 : exec.threads, num_tokens, [&](std::int64_t i) {
        TokenId const token = args.tokens[static_cast<std::size_t>(i)];
        float* const out = args.out + i * args.dim;
        std::int64_t const offset = (token - args.vocab.begin) * args.dim;
        if (!args.vocab.contains(token)) {
            std::fill_n(out, args.dim, 0.0F);
        } else if (args.table_dtype == DType::f32) {
            std::copy_n(static_cast<float const*>(args.table) + offset, args.dim, out);
        } else {
            auto const* const row = static_cast<BFloat16 const*>(args.table) + offset;
            std::transform(row, row + args.dim, out,
                           [](BFloat16 value) { return to_float(value); });
        }
    });
}

}  // namespace longhaul::kernels::cpu
