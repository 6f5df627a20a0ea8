#pragma once

#include "base/bfloat16.hpp"
#include "base/types.hpp"
#include "kernels/exec_context.hpp"

#include <random>
#include <vector>

namespace longhaul::kernels::test {

/// Every instruction set that this processor can run.
inline std::vector<Isa> available_isas() {
    std::vector<Isa> levels;
    for (Isa const isa : {Isa::plain, Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
        if (isa <= detect_isa()) {
            levels.push_back(isa);
        }
    }
    return levels;
}

inline ExecContext cpu_context(Isa isa, int threads = 1) { return {Backend::cpu, isa, threads}; }
inline ExecContext reference_context() { return {Backend::reference, Isa::plain, 1}; }

/// Normal numbers, the same for the same seed on every machine.
inline std::vector<float> random_floats(std::int64_t count, std::uint32_t seed,
                                        float scale = 1.0F) {
    std::mt19937 bits(seed);
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) {
        float sum = -6.0F;
        for (int i = 0; i < 12; ++i) {
            sum += static_cast<float>(bits()) * 0x1p-32F;
        }
        value = sum * scale;
    }
    return values;
}

inline std::vector<BFloat16> to_bfloat16s(std::vector<float> const& values) {
    std::vector<BFloat16> rounded;
    rounded.reserve(values.size());
    for (float const value : values) {
        rounded.push_back(to_bfloat16(value));
    }
    return rounded;
}

}  // namespace longhaul::kernels::test
