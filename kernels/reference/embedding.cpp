#include "base/bfloat16.hpp"
#include "kernels/embedding_backends.hpp"

namespace longhaul::kernels::reference {

void embedding(EmbeddingArgs const& args) {
    float* out = args.out;
    for (TokenId const token : args.tokens) {
        for (std::int64_t i = 0; i < args.dim; ++i, ++out) {
            std::int64_t const index = (token - args.vocab.begin) * args.dim + i;
            if (!args.vocab.contains(token)) {
                *out = 0.0F;
            } else if (args.table_dtype == DType::f32) {
                *out = static_cast<float const*>(args.table)[index];
            } else {
                *out = to_float(static_cast<BFloat16 const*>(args.table)[index]);
            }
        }
    }
}

}  // namespace longhaul::kernels::reference
