#pragma once

#include "kernels/attention.hpp"

namespace longhaul::kernels::cpu {

/// kernels/attention.hpp with SIMD (exec.isa) and OpenMP (exec.threads).
void attention(ExecContext const& exec, AttentionArgs const& args);

}  // namespace longhaul::kernels::cpu
