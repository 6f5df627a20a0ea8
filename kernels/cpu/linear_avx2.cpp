// AVX2 with FMA: f32, and bf16 widened to f32.
#include "kernels/cpu/linear_tile.hpp"

#include <immintrin.h>

namespace longhaul::kernels::cpu {
namespace {

struct Avx2 {
    using Vec = __m256;
    using Operand = __m256;
    static constexpr int kLanes = 8;
    static constexpr int kRows = 6;
    /// At most 12 sums of 16 registers; a single row takes a whole panel at once, to read memory in order.
    static constexpr int vectors(int rows) { return rows == 1 ? 8 : rows == 2 ? 4 : 2; }

    static Vec zero() { return _mm256_setzero_ps(); }
    static Vec load_c(float const* c) { return _mm256_loadu_ps(c); }
    static void store_c(float* c, Vec v) { _mm256_storeu_ps(c, v); }
    static Vec multiply_add(Operand x, Operand y, Vec sum) { return _mm256_fmadd_ps(x, y, sum); }
};

struct Avx2F32 : Avx2 {
    using Element = float;
    static constexpr int kStep = 1;
    static constexpr int kParts = 1;

    template <int>
    static Operand load(float const* b) {
        return _mm256_loadu_ps(b);
    }
    template <int>
    static Operand broadcast(float const* a) {
        return _mm256_broadcast_ss(a);
    }
    template <int>
    static Operand broadcast_last(float const* a) {
        return _mm256_broadcast_ss(a);
    }
};

/// A pair of bf16 in 32 bits: the even element is the lower half, and a bf16 is the upper half of an f32.
struct Avx2Bf16 : Avx2 {
    using Element = std::uint16_t;
    static constexpr int kStep = 2;
    static constexpr int kParts = 2;

    template <int Part>
    static Operand widen(__m256i pairs) {
        return _mm256_castsi256_ps(Part == 0
                                       ? _mm256_slli_epi32(pairs, 16)
                                       : _mm256_and_si256(pairs, _mm256_set1_epi32(-0x10000)));
    }
    template <int Part>
    static Operand load(std::uint16_t const* b) {
        return widen<Part>(_mm256_loadu_si256(reinterpret_cast<__m256i const*>(b)));
    }
    template <int Part>
    static Operand broadcast(std::uint16_t const* a) {
        std::int32_t pair;
        std::memcpy(&pair, a, sizeof pair);
        return widen<Part>(_mm256_set1_epi32(pair));
    }
    template <int>
    static Operand broadcast_last(std::uint16_t const* a) {
        return _mm256_castsi256_ps(_mm256_set1_epi32(std::int32_t{*a} << 16));
    }
};

}  // namespace

void panel_product_avx2_f32(PanelProduct const& product) { multiply_panel<Avx2F32>(product); }
void panel_product_avx2_bf16(PanelProduct const& product) { multiply_panel<Avx2Bf16>(product); }

}  // namespace longhaul::kernels::cpu
