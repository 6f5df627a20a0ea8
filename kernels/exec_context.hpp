#pragma once

namespace longhaul::kernels {

/// Which implementation of a contract runs.
enum class Backend {
    reference,  ///< serial loops, fp64 accumulation: the oracle of the tests
    cpu,        ///< SIMD chosen at run time, OpenMP, oneDNN
};

/// Widest instruction set the CPU backend may use. The default is what the processor has; tests lower it.
enum class Isa { plain, avx2, avx512, avx512_bf16 };

/// Instruction set of this processor.
[[nodiscard]] Isa detect_isa();

/// How one rank executes kernels. Passed explicitly: nothing about the run is global.
struct ExecContext {
    Backend backend = Backend::cpu;
    Isa isa = detect_isa();
    int threads = 1;  ///< OpenMP threads of this rank
};

}  // namespace longhaul::kernels
