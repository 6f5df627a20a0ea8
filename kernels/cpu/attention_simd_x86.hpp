#pragma once

#include <immintrin.h>

namespace longhaul::kernels::cpu {
namespace {  // NOLINT: one copy per instruction set, see attention_kernel.hpp

/// The same operations as PlainSimd, on 8 floats.
struct Avx2Simd {
    using Vec = __m256;
    using Narrow = Avx2Simd;
    static constexpr int kWidth = 8;
    static constexpr int kVectors = 2;

    [[gnu::always_inline]] static inline Vec set(float x) { return _mm256_set1_ps(x); }
    [[gnu::always_inline]] static inline Vec load(void const* p) {
        return _mm256_loadu_ps(static_cast<float const*>(p));
    }
    [[gnu::always_inline]] static inline void store(float* p, Vec v) { _mm256_storeu_ps(p, v); }
    [[gnu::always_inline]] static inline Vec load_low(void const* p) {
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(load(p)), 16));
    }
    [[gnu::always_inline]] static inline Vec load_high(void const* p) {
        return _mm256_and_ps(load(p), _mm256_castsi256_ps(_mm256_set1_epi32(~0xffff)));
    }
    [[gnu::always_inline]] static inline Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
    [[gnu::always_inline]] static inline Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
    [[gnu::always_inline]] static inline Vec fma(Vec a, Vec b, Vec c) {
        return _mm256_fmadd_ps(a, b, c);
    }
    [[gnu::always_inline]] static inline Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
    [[gnu::always_inline]] static inline bool any_above(Vec a, Vec b) {
        return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_NLE_UQ)) != 0;
    }
    [[gnu::always_inline]] static inline float reduce_max(Vec v) {
        __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
        m = _mm_max_ps(m, _mm_movehl_ps(m, m));
        return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
    }
    [[gnu::always_inline]] static inline Vec split(Vec& x) {
        x = _mm256_max_ps(set(-127.0F), x);  // the second operand is what a NaN leaves
        Vec const shifted = _mm256_add_ps(x, set(0x1.8p23F));
        x = _mm256_sub_ps(x, _mm256_sub_ps(shifted, set(0x1.8p23F)));
        return shifted;
    }
    [[gnu::always_inline]] static inline Vec scale(Vec p, Vec shifted) {
        __m256i const n =
            _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_castps_si256(set(0x1.8p23F)));
        __m256i const power = _mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23);
        return _mm256_mul_ps(p, _mm256_castsi256_ps(power));
    }
#if defined(__AVX512BF16__) && defined(__AVX512VL__)
    /// c + a.low * b.low + a.high * b.high, on bf16 pairs.
    [[gnu::always_inline]] static inline Vec dot(Vec c, Vec a, Vec b) {
        return _mm256_dpbf16_ps(c, (__m256bh)a, (__m256bh)b);
    }
#endif
};

#if defined(__AVX512F__)
/// The same on 16 floats.
struct Avx512Simd {
    using Vec = __m512;
    using Narrow = Avx2Simd;
    static constexpr int kWidth = 16;
    static constexpr int kVectors = 4;

    [[gnu::always_inline]] static inline Vec set(float x) { return _mm512_set1_ps(x); }
    [[gnu::always_inline]] static inline Vec load(void const* p) { return _mm512_loadu_ps(p); }
    [[gnu::always_inline]] static inline void store(float* p, Vec v) { _mm512_storeu_ps(p, v); }
    [[gnu::always_inline]] static inline Vec load_low(void const* p) {
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(p), 16));
    }
    [[gnu::always_inline]] static inline Vec load_high(void const* p) {
        return _mm512_castsi512_ps(
            _mm512_and_si512(_mm512_loadu_si512(p), _mm512_set1_epi32(~0xffff)));
    }
    [[gnu::always_inline]] static inline Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
    [[gnu::always_inline]] static inline Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
    [[gnu::always_inline]] static inline Vec fma(Vec a, Vec b, Vec c) {
        return _mm512_fmadd_ps(a, b, c);
    }
    [[gnu::always_inline]] static inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
    [[gnu::always_inline]] static inline bool any_above(Vec a, Vec b) {
        return _mm512_cmp_ps_mask(a, b, _CMP_NLE_UQ) != 0;
    }
    [[gnu::always_inline]] static inline float reduce_max(Vec v) {
        return Avx2Simd::reduce_max(
            _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)));
    }
    [[gnu::always_inline]] static inline Vec split(Vec& x) {
        x = _mm512_max_ps(set(-200.0F), x);
        Vec const n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        x = _mm512_sub_ps(x, n);
        return n;
    }
    [[gnu::always_inline]] static inline Vec scale(Vec p, Vec n) { return _mm512_scalef_ps(p, n); }
#    if defined(__AVX512BF16__)
    [[gnu::always_inline]] static inline Vec dot(Vec c, Vec a, Vec b) {
        return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
    }
    /// 16 floats to 8 pairs, rounded to nearest even.
    [[gnu::always_inline]] static inline void store_bf16(void* p, Vec v) {
        _mm256_storeu_si256(static_cast<__m256i*>(p), (__m256i)_mm512_cvtneps_pbh(v));
    }
#    endif
};
#endif

}  // namespace
}  // namespace longhaul::kernels::cpu
