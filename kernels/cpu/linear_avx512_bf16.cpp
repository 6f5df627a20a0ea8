// AVX-512 with BF16: vdpbf16ps adds both products of a pair to an f32 sum (subnormals count as zero).
#include "kernels/cpu/linear_tile.hpp"

#include <immintrin.h>

namespace longhaul::kernels::cpu {
namespace {

struct Avx512NativeBf16 {
    using Element = std::uint16_t;
    using Vec = __m512;
    using Operand = __m512bh;
    static constexpr int kLanes = 16;
    static constexpr int kStep = 2;
    static constexpr int kParts = 1;
    static constexpr int kRows = 6;
    static constexpr int vectors(int) { return 4; }

    static Vec zero() { return _mm512_setzero_ps(); }
    static Vec load_c(float const* c) { return _mm512_loadu_ps(c); }
    static void store_c(float* c, Vec v) { _mm512_storeu_ps(c, v); }
    static Vec multiply_add(Operand x, Operand y, Vec sum) { return _mm512_dpbf16_ps(sum, x, y); }

    template <int>
    static Operand load(std::uint16_t const* b) {
        return reinterpret_cast<__m512bh>(_mm512_loadu_si512(b));
    }
    template <int>
    static Operand broadcast(std::uint16_t const* a) {
        std::int32_t pair;
        std::memcpy(&pair, a, sizeof pair);
        return reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
    }
    template <int>
    static Operand broadcast_last(std::uint16_t const* a) {
        return reinterpret_cast<__m512bh>(_mm512_set1_epi32(*a));
    }
};

}  // namespace

void panel_product_avx512_native_bf16(PanelProduct const& product) {
    multiply_panel<Avx512NativeBf16>(product);
}

}  // namespace longhaul::kernels::cpu
