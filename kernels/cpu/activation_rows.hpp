#pragma once

// Element-wise work on one row; included once by each activation_<isa>.cpp.

#include "kernels/cpu/activation.hpp"
#include "kernels/cpu/activation_vector.hpp"

#include <cmath>

namespace longhaul::kernels::cpu {
namespace {

void norm_row(NormRow const& row) {
    Doubles squares[2] = {};
    for_vectors(row.dim, [&](std::int64_t i, std::int64_t count) {
        Floats x = load_floats(row.x + i, count);
        if (row.delta != nullptr) {
            x += load_floats(row.delta + i, count);
            store_floats(row.x + i, x, count);
        }
        for (int half = 0; half < 2; ++half) {
            Doubles const wide = widen_half(x, half);
            squares[half] += wide * wide;
        }
    });
    if (row.out == nullptr) {
        return;
    }
    double const mean = sum_lanes(squares[0] + squares[1]) / static_cast<double>(row.dim);
    auto const scale = static_cast<float>(1.0 / std::sqrt(mean + row.epsilon));
    for_vectors(row.dim, [&](std::int64_t i, std::int64_t count) {
        Floats const x = load_floats(row.x + i, count);
        Floats const weight = load_floats(row.weight + i, count);
        store_as(row.out, row.bf16, i, x * scale * weight, count);
    });
}

void convert_row(float const* x, std::int64_t count, void* out, bool bf16) {
    for_vectors(count, [&](std::int64_t i, std::int64_t part) {
        store_as(out, bf16, i, load_floats(x + i, part), part);
    });
}

void swiglu_row(float const* gate, float const* up, std::int64_t dim, void* out, bool bf16) {
    for_vectors(dim, [&](std::int64_t i, std::int64_t count) {
        Floats const x = load_floats(gate + i, count);
        Floats const y = load_floats(up + i, count);
        store_as(out, bf16, i, x / (1.0F + exponential(-x)) * y, count);
    });
}

/// The lanes from `count` on replaced.
[[gnu::always_inline]] inline Floats pad(Floats v, std::int64_t count, float padding) {
    for (int lane = 0; lane < kLanes && count < kLanes; ++lane) {
        v[lane] = lane < count ? v[lane] : padding;
    }
    return v;
}

/// Sum of exp(logit - max). Only a few logits at a time are summed in f32, which loses nothing there.
double sum_exponentials(float const* logits, std::int64_t count, float max) {
    constexpr std::int64_t kBlock = std::int64_t{16} * kLanes;
    double total = 0.0;
    for (std::int64_t begin = 0; begin < count; begin += kBlock) {
        Floats sum{};
        for_vectors(count - begin < kBlock ? count - begin : kBlock,
                    [&](std::int64_t i, std::int64_t part) {
                        Floats const x = load_floats(logits + begin + i, part) - max;
                        sum += pad(exponential(x), part, 0.0F);
                    });
        total += sum_lanes(widen_half(sum, 0) + widen_half(sum, 1));
    }
    return total;
}

LogitSpan summarize_span(float const* logits, std::int64_t count) {
    constexpr float kNone = -__builtin_inff();
    Floats highest = Floats{} + kNone;
    Floats poison{};  // NaN once a lane saw a NaN or an infinity
    for_vectors(count, [&](std::int64_t i, std::int64_t part) {
        Floats const x = load_floats(logits + i, part);
        highest = larger(pad(x, part, kNone), highest);
        poison += x * 0.0F;
    });
    LogitSpan span;
    span.max = kNone;
    for (int lane = 0; lane < kLanes; ++lane) {
        span.max = highest[lane] > span.max ? highest[lane] : span.max;
        span.finite = span.finite && poison[lane] == 0.0F;
    }
    if (span.finite) {
        span.sum_exp = sum_exponentials(logits, count, span.max);
    }
    return span;
}

constexpr RowKernels kRowKernels{norm_row, convert_row, swiglu_row, summarize_span};

}  // namespace
}  // namespace longhaul::kernels::cpu
