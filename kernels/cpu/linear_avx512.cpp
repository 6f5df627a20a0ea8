// AVX-512 (F, BW, VL, DQ): f32, and bf16 widened to f32.
#include "kernels/cpu/linear_tile.hpp"

#include <immintrin.h>

namespace longhaul::kernels::cpu {
namespace {

struct Avx512 {
    using Vec = __m512;
    using Operand = __m512;
    static constexpr int kLanes = 16;
    static constexpr int kRows = 6;  // 24 sums, 4 factors of b and one of a: 29 of 32 registers
    static constexpr int vectors(int) { return 4; }

    static Vec zero() { return _mm512_setzero_ps(); }
    static Vec load_c(float const* c) { return _mm512_loadu_ps(c); }
    static void store_c(float* c, Vec v) { _mm512_storeu_ps(c, v); }
    static Vec multiply_add(Operand x, Operand y, Vec sum) { return _mm512_fmadd_ps(x, y, sum); }
};

struct Avx512F32 : Avx512 {
    using Element = float;
    static constexpr int kStep = 1;
    static constexpr int kParts = 1;

    template <int>
    static Operand load(float const* b) {
        return _mm512_loadu_ps(b);
    }
    template <int>
    static Operand broadcast(float const* a) {
        return _mm512_set1_ps(*a);
    }
    template <int>
    static Operand broadcast_last(float const* a) {
        return _mm512_set1_ps(*a);
    }
};

/// A pair of bf16 in 32 bits: the even element is the lower half, and a bf16 is the upper half of an f32.
struct Avx512Bf16 : Avx512 {
    using Element = std::uint16_t;
    static constexpr int kStep = 2;
    static constexpr int kParts = 2;

    template <int Part>
    static Operand widen(__m512i pairs) {
        return _mm512_castsi512_ps(Part == 0
                                       ? _mm512_slli_epi32(pairs, 16)
                                       : _mm512_and_si512(pairs, _mm512_set1_epi32(-0x10000)));
    }
    template <int Part>
    static Operand load(std::uint16_t const* b) {
        return widen<Part>(_mm512_loadu_si512(b));
    }
    template <int Part>
    static Operand broadcast(std::uint16_t const* a) {
        std::int32_t pair;
        std::memcpy(&pair, a, sizeof pair);
        return widen<Part>(_mm512_set1_epi32(pair));
    }
    template <int>
    static Operand broadcast_last(std::uint16_t const* a) {
        return _mm512_castsi512_ps(_mm512_set1_epi32(std::int32_t{*a} << 16));
    }
};

}  // namespace

void panel_product_avx512_f32(PanelProduct const& product) { multiply_panel<Avx512F32>(product); }
void panel_product_avx512_bf16(PanelProduct const& product) { multiply_panel<Avx512Bf16>(product); }

}  // namespace longhaul::kernels::cpu
