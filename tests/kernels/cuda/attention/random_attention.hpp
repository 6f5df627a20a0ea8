#pragma once

#include "kernels/attention/attention_case.hpp"

#include <cstdint>
#include <random>

namespace longhaul::kernels::test {

/// What the random work lists are drawn from.
struct AttentionRange {
    DType dtype = DType::bf16;
    std::int64_t block_slots = 0;  ///< 0: any
    std::int64_t dim = 0;          ///< 0: any, keys and values apart
    std::int64_t group = 0;        ///< 0: any
    std::int64_t max_rows = 40;
    std::int64_t max_history = 700;
};

/// Several sequences with a document that some of them share, the rest of their histories, and their own chunks with visible
/// counts; some rows see nothing, some stand in no item, some items are empty, slots and extents end anywhere.
[[nodiscard]] AttentionCase random_attention(AttentionRange const& range, std::uint64_t seed);

}  // namespace longhaul::kernels::test
