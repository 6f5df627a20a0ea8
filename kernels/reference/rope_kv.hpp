#pragma once

#include "kernels/rope_kv.hpp"

namespace longhaul::kernels::reference {

/// kernels/rope_kv.hpp, serial, element by element.
void rope_and_write_kv(RopeKvArgs const& args);

}  // namespace longhaul::kernels::reference
