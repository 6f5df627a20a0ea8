#pragma once

#include "kernels/exec_context.hpp"

#include <cstdint>
#include <span>

namespace longhaul::kernels {

/// One partial attention result of the same rows: a slice of consecutive head elements and the LSEs of the heads touched.
struct PartialState {
    float const* out = nullptr;  ///< [num_rows, width] f32, row stride out_stride
    std::int64_t out_stride = 0;
    float const* lse =
        nullptr;  ///< [num_rows, num_heads] f32, row stride lse_stride; natural log, -inf = saw nothing
    std::int64_t lse_stride = 0;
};

/// Merges partial results over disjoint slots in the order given: w_i = exp(lse_i - max), O = sum w_i O_i / sum w_i.
///
/// Shapes   `width` elements per row, element e belongs to head (first_element + e) / head_dim; the LSE column of that head
///          is that head's number minus first_element / head_dim
///          `parts` itself is host memory
/// Effects  rows whose every part has lse = -inf get 0, rows with a part whose lse is NaN or +inf get NaN.
///          `lse_out` (may be null) gets the merged LSE [num_rows, num_heads].
struct MergeArgs {
    std::span<PartialState const> parts;
    std::int64_t num_rows = 0;
    std::int64_t width = 0;
    std::int64_t head_dim = 0;
    std::int64_t first_element = 0;
    float* out = nullptr;  ///< [num_rows, width]; may alias parts[0].out with the same stride
    std::int64_t out_stride = 0;
    float* lse_out = nullptr;
};
/// Heads that the slice touches: num_heads above.
[[nodiscard]] constexpr std::int64_t merge_heads(MergeArgs const& args) {
    std::int64_t const before = args.first_element % args.head_dim;
    return args.width == 0 ? 0 : (before + args.width + args.head_dim - 1) / args.head_dim;
}

void merge_states(ExecContext const& exec, MergeArgs const& args);

}  // namespace longhaul::kernels
