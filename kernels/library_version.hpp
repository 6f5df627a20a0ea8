#pragma once

#include <string>

namespace longhaul::kernels {

/// Of the oneDNN that is loaded, like "2.6.0"; "none" in a build without it.
[[nodiscard]] std::string onednn_version();

}  // namespace longhaul::kernels
