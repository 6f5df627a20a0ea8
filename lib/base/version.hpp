#pragma once

namespace longhaul {

inline constexpr char const* kVersion = "0.1.0";

}  // namespace longhaul
