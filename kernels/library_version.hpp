#pragma once

#include <string>

namespace longhaul::kernels {

/// Of the oneDNN that is loaded, like "2.6.0".
[[nodiscard]] std::string onednn_version();

}  // namespace longhaul::kernels
