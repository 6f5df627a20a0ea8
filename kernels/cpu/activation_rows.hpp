#pragma once

// Element-wise work on one row; included once by each activation_<isa>.cpp.

#include "kernels/cpu/activation.hpp"
#include "kernels/cpu/activation_vector.hpp"

#include <cmath>

namespace longhaul::kernels::cpu {
namespace {

void norm_row(NormRow const& row) {
    Doubles squares{};
    for (std::int64_t i = 0; i < row.dim; i += kLanes) {
        Floats x = load_floats(row.x + i, row.dim - i);
        if (row.delta != nullptr) {
            x += load_floats(row.delta + i, row.dim - i);
            store_floats(row.x + i, x, row.dim - i);
        }
        Doubles const wide = __builtin_convertvector(x, Doubles);
        squares += wide * wide;
    }
    if (row.out == nullptr) {
        return;
    }
    double const mean = sum_lanes(squares) / static_cast<double>(row.dim);
    auto const scale = static_cast<float>(1.0 / std::sqrt(mean + row.epsilon));
    for (std::int64_t i = 0; i < row.dim; i += kLanes) {
        Floats const x = load_floats(row.x + i, row.dim - i);
        Floats const weight = load_floats(row.weight + i, row.dim - i);
        store_as(row.out, row.bf16, i, x * scale * weight, row.dim - i);
    }
}

void convert_row(float const* x, std::int64_t count, void* out, bool bf16) {
    for (std::int64_t i = 0; i < count; i += kLanes) {
        store_as(out, bf16, i, load_floats(x + i, count - i), count - i);
    }
}

void swiglu_row(float const* gate, float const* up, std::int64_t dim, void* out, bool bf16) {
    for (std::int64_t i = 0; i < dim; i += kLanes) {
        Floats const x = load_floats(gate + i, dim - i);
        Floats const y = load_floats(up + i, dim - i);
        store_as(out, bf16, i, x / (1.0F + exponential(-x)) * y, dim - i);
    }
}

/// Largest logit, whether all are finite, and sum of exp(logit - largest).
LogitSpan summarize_span(float const* logits, std::int64_t count) {
    constexpr std::int64_t kBlock = std::int64_t{16} * kLanes;  // f32 sums this short lose nothing
    float constexpr kNone = -__builtin_inff();
    Floats const none = Floats{} + kNone;
    Floats highest = none;
    Floats poison{};  // NaN as soon as a lane saw a NaN or an infinity
    auto const padded = [&](std::int64_t i, float padding) {
        Floats x = load_floats(logits + i, count - i);
        for (int lane = 0; lane < kLanes && count - i < kLanes; ++lane) {
            if (lane >= count - i) {
                x[lane] = padding;
            }
        }
        return x;
    };
    for (std::int64_t i = 0; i < count; i += kLanes) {
        highest = larger(padded(i, kNone), highest);
        poison += load_floats(logits + i, count - i) * 0.0F;
    }
    LogitSpan span;
    span.max = kNone;
    for (int lane = 0; lane < kLanes; ++lane) {
        span.max = highest[lane] > span.max ? highest[lane] : span.max;
        span.finite = span.finite && poison[lane] == 0.0F;
    }
    if (!span.finite) {
        return span;
    }
    for (std::int64_t begin = 0; begin < count; begin += kBlock) {
        std::int64_t const end = begin + kBlock < count ? begin + kBlock : count;
        Floats sum{};
        for (std::int64_t i = begin; i < end; i += kLanes) {
            Floats const term = exponential(load_floats(logits + i, count - i) - span.max);
            if (count - i >= kLanes) {
                sum += term;
            } else {
                for (int lane = 0; lane < count - i; ++lane) {
                    sum[lane] += term[lane];
                }
            }
        }
        span.sum_exp += sum_lanes(__builtin_convertvector(sum, Doubles));
    }
    return span;
}

constexpr RowKernels kRowKernels{norm_row, convert_row, swiglu_row, summarize_span};

}  // namespace
}  // namespace longhaul::kernels::cpu
