#pragma once

#include <filesystem>
#include <ostream>

namespace longhaul::app {

/// Prints what a model file holds. Throws ValidationError when it is none that longhaul runs.
[[nodiscard]] int inspect_model(std::filesystem::path const& path, std::ostream& out, bool json);

}  // namespace longhaul::app
