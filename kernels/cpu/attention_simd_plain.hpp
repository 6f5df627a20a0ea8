#pragma once

#include <cstdint>
#include <cstring>

namespace longhaul::kernels::cpu {
namespace {  // NOLINT: one copy per instruction set, see attention_kernel.hpp

/// Four floats in the vector extension of GCC and Clang: SSE2, NEON or whatever the base architecture has.
struct PlainSimd {
    using Vec = float __attribute__((vector_size(16)));
    using Bits = std::int32_t __attribute__((vector_size(16)));
    using Narrow = PlainSimd;  ///< for the last 8 columns
    static constexpr int kWidth = 4;
    static constexpr int kVectors = 2;  ///< columns of a full register tile, in vectors

    [[gnu::always_inline]] static inline Vec set(float x) { return Vec{x, x, x, x}; }
    [[gnu::always_inline]] static inline Vec load(void const* p) {
        Vec v;
        std::memcpy(&v, p, sizeof(v));
        return v;
    }
    [[gnu::always_inline]] static inline void store(float* p, Vec v) {
        std::memcpy(p, &v, sizeof(v));
    }
    /// Of bf16 pairs: the elements in the low and in the high halves.
    [[gnu::always_inline]] static inline Vec load_low(void const* p) {
        return (Vec)((Bits)load(p) << 16);
    }
    [[gnu::always_inline]] static inline Vec load_high(void const* p) {
        return (Vec)((Bits)load(p) & ~0xffff);
    }
    [[gnu::always_inline]] static inline Vec add(Vec a, Vec b) { return a + b; }
    [[gnu::always_inline]] static inline Vec mul(Vec a, Vec b) { return a * b; }
    [[gnu::always_inline]] static inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
    [[gnu::always_inline]] static inline Vec max(Vec a, Vec b) { return a > b ? a : b; }
    /// Some a is not <= b; so a NaN counts.
    [[gnu::always_inline]] static inline bool any_above(Vec a, Vec b) {
        Bits const m = a <= b;
        return (m[0] & m[1] & m[2] & m[3]) == 0;
    }
    [[gnu::always_inline]] static inline float reduce_max(Vec v) {
        float const a = v[0] > v[1] ? v[0] : v[1];
        float const b = v[2] > v[3] ? v[2] : v[3];
        return a > b ? a : b;
    }
    /// r and n with x = n + r, |r| <= 1/2; then 2^n * p. -inf and other large negatives give 0, a NaN stays.
    [[gnu::always_inline]] static inline Vec split(Vec& x) {
        Vec const low = set(-127.0F);
        x = low > x ? low : x;
        Vec const shifted = x + set(0x1.8p23F);
        x = x - (shifted - set(0x1.8p23F));
        return shifted;
    }
    [[gnu::always_inline]] static inline Vec scale(Vec p, Vec shifted) {
        Bits const n = (Bits)shifted - (Bits)set(0x1.8p23F);
        return p * (Vec)((n + 127) << 23);
    }
};

}  // namespace
}  // namespace longhaul::kernels::cpu
