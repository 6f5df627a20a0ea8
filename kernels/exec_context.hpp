#pragma once

namespace longhaul::device {
class Gpu;
}

namespace longhaul::kernels {

/// Which implementation of a contract runs.
enum class Backend {
    reference,  ///< serial loops, fp64 accumulation: the oracle of the tests
    cpu,        ///< SIMD chosen at run time, OpenMP, oneDNN
    cuda,       ///< a GPU; its kernels run in the order of gpu->stream()
};

/// Widest instruction set the CPU backend may use. The default is what the processor has; tests lower it.
enum class Isa { plain, avx2, avx512, avx512_bf16 };

/// Instruction set of this processor.
[[nodiscard]] Isa detect_isa();

/// How one rank executes kernels. Passed explicitly: nothing about the run is global.
///
/// Memory of the backend: with `cuda` every pointer and span that a contract does not call host memory is the GPU's, and a
/// call returns when its work is in the stream. The other backends compute in host memory and are done when they return.
struct ExecContext {
    Backend backend = Backend::cpu;
    Isa isa = detect_isa();
    int threads = 1;             ///< OpenMP threads of this rank
    device::Gpu* gpu = nullptr;  ///< of this rank; null unless the backend is cuda
};

}  // namespace longhaul::kernels
