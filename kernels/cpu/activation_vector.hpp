#pragma once

// Vectors of floats in the compiler's own notation, as wide as the file that includes this is compiled for. Anonymous
// namespace for the same reason as in linear_tile.hpp. A tail shorter than a vector is computed as a whole padded vector,
// so an element's bits depend on its place in the row alone, not on addresses or threads.

#include <cstdint>
#include <cstring>

namespace longhaul::kernels::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

using Floats = float __attribute__((vector_size(kLanes * 4)));
using Ints = std::int32_t __attribute__((vector_size(kLanes * 4)));
using Words = std::uint32_t __attribute__((vector_size(kLanes * 4)));
using Halves = std::uint16_t __attribute__((vector_size(kLanes * 2)));
using HalfFloats = float __attribute__((vector_size(kLanes * 2)));
using Doubles = double __attribute__((vector_size(kLanes * 4)));  // half as many lanes

/// Calls body(first element, elements) for whole vectors, then for the tail.
template <class Body>
[[gnu::always_inline]] inline void for_vectors(std::int64_t count, Body const& body) {
    std::int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
        body(i, std::int64_t{kLanes});
    }
    if (i < count) {
        body(i, count - i);
    }
}

[[gnu::always_inline]] inline Floats load_floats(float const* x, std::int64_t count) {
    Floats v{};
    if (count >= kLanes) {
        std::memcpy(&v, x, sizeof v);
    } else {
        std::memcpy(&v, x, static_cast<std::size_t>(count) * sizeof(float));
    }
    return v;
}

[[gnu::always_inline]] inline void store_floats(float* out, Floats v, std::int64_t count) {
    if (count >= kLanes) {
        std::memcpy(out, &v, sizeof v);
    } else {
        std::memcpy(out, &v, static_cast<std::size_t>(count) * sizeof(float));
    }
}

/// Round to nearest even, NaNs quiet: the same bits as to_bfloat16 of base.
[[gnu::always_inline]] inline void store_bf16(std::uint16_t* out, Floats v, std::int64_t count) {
    auto const bits = reinterpret_cast<Words>(v);
    Words const rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
    Words const quiet = (bits >> 16) | 0x40U;
    Words const nan = reinterpret_cast<Words>((bits & 0x7fffffffU) > 0x7f800000U);
    Halves const halves = __builtin_convertvector((rounded & ~nan) | (quiet & nan), Halves);
    if (count >= kLanes) {
        std::memcpy(out, &halves, sizeof halves);
    } else {
        std::memcpy(out, &halves, static_cast<std::size_t>(count) * sizeof(std::uint16_t));
    }
}

[[gnu::always_inline]] inline void store_as(void* out, bool bf16, std::int64_t index, Floats v,
                                            std::int64_t count) {
    if (bf16) {
        store_bf16(static_cast<std::uint16_t*>(out) + index, v, count);
    } else {
        store_floats(static_cast<float*>(out) + index, v, count);
    }
}

[[gnu::always_inline]] inline Floats larger(Floats a, Floats b) { return a > b ? a : b; }

/// e^x, relative error below 2e-7 where the result is normal; clamps to the range of normal floats, NaN stays NaN.
/// 2^n e^r with |r| <= ln 2 / 2 and the Taylor-like polynomial of Cephes' expf.
[[gnu::always_inline]] inline Floats exponential(Floats x) {
    constexpr float kLowest = -87.3365F;
    constexpr float kHighest = 88.37F;
    constexpr float kRounder = 0x1.8p23F;  // adding it leaves the nearest integer in the low bits
    x = x < kLowest ? Floats{} + kLowest : x;
    x = x > kHighest ? Floats{} + kHighest : x;
    Floats const shifted = x * 0x1.715476p+0F + kRounder;
    Floats const n = shifted - kRounder;
    Floats const r = (x - n * 0x1.62e4p-1F) - n * 0x1.7f7d1cp-20F;
    Floats p = r * 1.9875691500e-4F + 1.3981999507e-3F;
    p = p * r + 8.3334519073e-3F;
    p = p * r + 4.1665795894e-2F;
    p = p * r + 1.6666665459e-1F;
    p = p * r + 5.0000001201e-1F;
    p = p * r * r + r + 1.0F;
    Words const exponent = (reinterpret_cast<Words>(shifted) + 127U) << 23;
    return p * reinterpret_cast<Floats>(exponent);
}

/// The lower and the upper half of a vector in fp64.
[[gnu::always_inline]] inline Doubles widen_half(Floats v, int half) {
    HalfFloats part;
    std::memcpy(&part, reinterpret_cast<char const*>(&v) + half * sizeof part, sizeof part);
    return __builtin_convertvector(part, Doubles);
}

[[gnu::always_inline]] inline double sum_lanes(Doubles v) {
    double sum = 0.0;
    for (int lane = 0; lane < kLanes / 2; ++lane) {
        sum += v[lane];
    }
    return sum;
}

}  // namespace
}  // namespace longhaul::kernels::cpu
