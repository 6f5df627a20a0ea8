#pragma once

#include "kernels/rope_kv.hpp"

namespace longhaul::kernels::cpu {

/// kernels/rope_kv.hpp, in f32, parallel over rows.
void rope_and_write_kv(ExecContext const& exec, RopeKvArgs const& args);

}  // namespace longhaul::kernels::cpu
