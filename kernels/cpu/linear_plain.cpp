// Any processor: vectors of four floats in the compiler's own notation.
#include "kernels/cpu/linear_tile.hpp"

#include <bit>

namespace longhaul::kernels::cpu {
namespace {

using FourFloats = float __attribute__((vector_size(16)));

struct Plain {
    using Vec = FourFloats;
    using Operand = FourFloats;
    static constexpr int kLanes = 4;
    static constexpr int kRows = 4;
    static constexpr int vectors(int rows) { return rows == 1 ? 4 : 2; }

    static Vec zero() { return Vec{}; }
    static Vec load_c(float const* c) {
        Vec v;
        std::memcpy(&v, c, sizeof v);
        return v;
    }
    static void store_c(float* c, Vec v) { std::memcpy(c, &v, sizeof v); }
    static Vec multiply_add(Operand x, Operand y, Vec sum) { return x * y + sum; }
    static Operand repeat(float x) { return Operand{x, x, x, x}; }
};

struct PlainF32 : Plain {
    using Element = float;
    static constexpr int kStep = 1;
    static constexpr int kParts = 1;

    template <int>
    static Operand load(float const* b) {
        return load_c(b);
    }
    template <int>
    static Operand broadcast(float const* a) {
        return repeat(*a);
    }
    template <int>
    static Operand broadcast_last(float const* a) {
        return repeat(*a);
    }
};

struct PlainBf16 : Plain {
    using Element = std::uint16_t;
    static constexpr int kStep = 2;
    static constexpr int kParts = 2;

    static float widen(std::uint16_t bits) {
        return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
    }
    template <int Part>
    static Operand load(std::uint16_t const* b) {
        return Operand{widen(b[Part]), widen(b[2 + Part]), widen(b[4 + Part]), widen(b[6 + Part])};
    }
    template <int Part>
    static Operand broadcast(std::uint16_t const* a) {
        return repeat(widen(a[Part]));
    }
    template <int>
    static Operand broadcast_last(std::uint16_t const* a) {
        return repeat(widen(a[0]));
    }
};

}  // namespace

void panel_product_plain_f32(PanelProduct const& product) { multiply_panel<PlainF32>(product); }
void panel_product_plain_bf16(PanelProduct const& product) { multiply_panel<PlainBf16>(product); }

}  // namespace longhaul::kernels::cpu
