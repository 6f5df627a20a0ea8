#pragma once

#include "io/queue_merge.hpp"

#include <iosfwd>

namespace longhaul::app {

/// `longhaul queue merge`: writes the joined results (io/queue_merge.hpp) and prints what they are, and what is missing.
/// Returns     0 when every job has a good result, else 1
/// Errors      ValidationError, io::IoError: nothing is written then
int merge_results_command(io::MergeRequest const& request, std::ostream& out);

}  // namespace longhaul::app
