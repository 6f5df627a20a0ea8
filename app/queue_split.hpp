#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>

namespace longhaul::app {

/// `longhaul queue split`: writes the parts (io/queue_split.hpp) and prints what is in them.
/// Returns     0
/// Errors      ValidationError, io::IoError
int split_queue_command(std::filesystem::path const& queue, std::filesystem::path const& output,
                        std::int64_t parts, std::ostream& out);

}  // namespace longhaul::app
