#pragma once

#include "io/hdf5.hpp"
#include "io/hdf5_native.hpp"

namespace longhaul::io::detail {

/// The library's type for one of ours (not for `other`), and back. Call under hdf5_lock().
[[nodiscard]] Hdf5Id make_hdf5_type(Hdf5Type type);
[[nodiscard]] Hdf5Type hdf5_type_of(hid_t type);

}  // namespace longhaul::io::detail
