#pragma once

#include "engine/run_options.hpp"

#include <optional>
#include <string>
#include <vector>

namespace longhaul::app {

struct RunCommandLine {
    engine::RunOptions options;
    bool quiet = false;
    bool help = false;
};

/// Parses the words after `longhaul run`. Throws ValidationError with the remedy.
[[nodiscard]] RunCommandLine parse_run_command_line(std::vector<std::string> const& words);

/// The text of `longhaul run --help`.
[[nodiscard]] std::string run_help();

}  // namespace longhaul::app
