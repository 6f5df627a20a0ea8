#pragma once

#include "io/manifest.hpp"

#include <string>

namespace longhaul::engine {

/// How the saved state of a sequence travels between world rank 0 and the leaders.
[[nodiscard]] std::string to_bytes(io::SavedSequence const& sequence);
[[nodiscard]] io::SavedSequence sequence_from_bytes(std::string const& bytes);

}  // namespace longhaul::engine
