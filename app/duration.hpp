#pragma once

#include <string>
#include <string_view>

namespace longhaul::app {

/// "90", "90s", "10m", "2h", "1d", and as Slurm writes times: "MM:SS", "HH:MM:SS", "D-HH:MM:SS" -> seconds, more than 0.
/// Throws ValidationError.
[[nodiscard]] double parse_duration(std::string_view text, std::string const& option);

}  // namespace longhaul::app
