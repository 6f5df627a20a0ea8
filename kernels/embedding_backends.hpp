#pragma once

#include "kernels/embedding.hpp"

namespace longhaul::kernels {

/// Arguments of `embedding`, checked.
struct EmbeddingArgs {
    std::span<TokenId const> tokens;
    void const* table = nullptr;
    DType table_dtype = DType::f32;
    Range vocab;
    std::int64_t dim = 0;
    float* out = nullptr;
};

namespace reference {
void embedding(EmbeddingArgs const& args);
}
namespace cpu {
void embedding(ExecContext const& exec, EmbeddingArgs const& args);
}

}  // namespace longhaul::kernels
