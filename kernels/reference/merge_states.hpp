#pragma once

#include "kernels/merge_states.hpp"

namespace longhaul::kernels::reference {

/// kernels/merge_states.hpp, serial, accumulated in fp64.
void merge_states(MergeArgs const& args);

}  // namespace longhaul::kernels::reference
