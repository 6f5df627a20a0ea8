#include "kernels/reference/merge_states.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace longhaul::kernels::reference {
namespace {

constexpr double kNothing = -std::numeric_limits<double>::infinity();

struct Weights {
    std::vector<double> of_part;  ///< normalised; all 0 where no part saw anything
    double lse = kNothing;
};

Weights weigh(MergeArgs const& args, std::int64_t row, std::int64_t head) {
    Weights result{std::vector<double>(args.parts.size(), 0.0)};
    double largest = kNothing;
    for (PartialState const& part : args.parts) {
        // Unlike std::max this takes a NaN and keeps it.
        double const of_part = part.lse[row * part.lse_stride + head];
        largest = of_part > largest || std::isnan(of_part) ? of_part : largest;
    }
    if (largest == kNothing) {
        return result;
    }
    double sum = 0.0;
    for (std::size_t i = 0; i < args.parts.size(); ++i) {
        PartialState const& part = args.parts[i];
        result.of_part[i] = std::exp(part.lse[row * part.lse_stride + head] - largest);
        sum += result.of_part[i];
    }
    for (double& weight : result.of_part) {
        weight /= sum;
    }
    result.lse = largest + std::log(sum);
    return result;
}

}  // namespace

void merge_states(MergeArgs const& args) {
    std::int64_t const first_head = args.first_element / args.head_dim;
    std::int64_t const num_heads = merge_heads(args);
    for (std::int64_t row = 0; row < args.num_rows; ++row) {
        for (std::int64_t head = 0; head < num_heads; ++head) {
            Weights const weights = weigh(args, row, head);
            std::int64_t const begin =
                std::max<std::int64_t>(0, (first_head + head) * args.head_dim - args.first_element);
            std::int64_t const end =
                std::min(args.width, (first_head + head + 1) * args.head_dim - args.first_element);
            for (std::int64_t e = begin; e < end; ++e) {
                double sum = 0.0;
                for (std::size_t i = 0; i < args.parts.size(); ++i) {
                    // A part that saw nothing has weight 0 and is not read: 0 * inf would be NaN.
                    if (weights.of_part[i] != 0.0) {
                        sum += weights.of_part[i] *
                               args.parts[i].out[row * args.parts[i].out_stride + e];
                    }
                }
                args.out[row * args.out_stride + e] = static_cast<float>(sum);
            }
            if (args.lse_out != nullptr) {
                args.lse_out[row * num_heads + head] = static_cast<float>(weights.lse);
            }
        }
    }
}

}  // namespace longhaul::kernels::reference
