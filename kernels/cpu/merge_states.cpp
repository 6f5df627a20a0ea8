#include "kernels/cpu/merge_states.hpp"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace longhaul::kernels::cpu {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

/// One head's part of a row: elements [begin, end) of the slice.
void merge_head(MergeArgs const& args, std::int64_t row, std::int64_t head, std::int64_t begin,
                std::int64_t end) {
    float largest = kNothing;
    for (PartialState const& part : args.parts) {
        // Unlike std::max this takes a NaN and keeps it.
        float const of_part = part.lse[row * part.lse_stride + head];
        largest = of_part > largest || std::isnan(of_part) ? of_part : largest;
    }
    float* out = args.out + row * args.out_stride;
    float lse = kNothing;
    if (largest == kNothing) {
        std::fill(out + begin, out + end, 0.0F);
    } else {
        float sum = 0.0F;
        for (PartialState const& part : args.parts) {
            sum += std::exp(part.lse[row * part.lse_stride + head] - largest);
        }
        bool first = true;
        for (PartialState const& part : args.parts) {
            float const exponent = part.lse[row * part.lse_stride + head] - largest;
            float const weight = std::exp(exponent) / sum;
            float const* from = part.out + row * part.out_stride;
            // The first part may be `out` itself, so it is taken before anything is added.
            for (std::int64_t e = begin; e < end; ++e) {
                out[e] = first ? from[e] * weight : out[e] + from[e] * weight;
            }
            first = false;
        }
        lse = largest + std::log(sum);
    }
    if (args.lse_out != nullptr) {
        args.lse_out[row * merge_heads(args) + head] = lse;
    }
}

void merge_row(MergeArgs const& args, std::int64_t row) {
    std::int64_t const before = args.first_element % args.head_dim;
    for (std::int64_t head = 0; head < merge_heads(args); ++head) {
        std::int64_t const begin = std::max<std::int64_t>(0, head * args.head_dim - before);
        std::int64_t const end = std::min(args.width, (head + 1) * args.head_dim - before);
        merge_head(args, row, head, begin, end);
    }
}

}  // namespace

void merge_states(ExecContext const& exec, MergeArgs const& args) {
    if (exec.threads == 1) {
        for (std::int64_t row = 0; row < args.num_rows; ++row) {
            merge_row(args, row);
        }
        return;
    }
#pragma omp parallel for num_threads(exec.threads) schedule(static)
    for (std::int64_t row = 0; row < args.num_rows; ++row) {
        merge_row(args, row);
    }
}

}  // namespace longhaul::kernels::cpu
