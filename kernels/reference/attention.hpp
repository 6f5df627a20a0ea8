#pragma once

#include "kernels/attention.hpp"

namespace longhaul::kernels::reference {

/// kernels/attention.hpp, serial, accumulated in fp64.
void attention(AttentionArgs const& args);

}  // namespace longhaul::kernels::reference
