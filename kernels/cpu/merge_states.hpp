#pragma once

#include "kernels/merge_states.hpp"

namespace longhaul::kernels::cpu {

/// kernels/merge_states.hpp, in f32, parallel over rows.
void merge_states(ExecContext const& exec, MergeArgs const& args);

}  // namespace longhaul::kernels::cpu
