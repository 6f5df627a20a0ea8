#include "kernels/embedding.hpp"

#include "base/error.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/embedding_backends.hpp"

namespace longhaul::kernels {

void embedding(ExecContext const& exec, std::span<TokenId const> tokens, void const* table,
               DType table_dtype, Range vocab, std::int64_t dim, float* out) {
    LH_EXPECT(dim >= 0 && vocab.size() >= 0);
    if (tokens.empty() || dim == 0) {
        return;
    }
    LH_EXPECT(out != nullptr);
    LH_EXPECT(vocab.empty() || table != nullptr);
    EmbeddingArgs const args{tokens, table, table_dtype, vocab, dim, out};
    switch (exec.backend) {
        case Backend::reference:
            reference::embedding(args);
            break;
        case Backend::cpu:
            cpu::embedding(exec, args);
            break;
        case Backend::cuda:
            cuda::embedding(exec, args);
            break;
    }
}

}  // namespace longhaul::kernels
