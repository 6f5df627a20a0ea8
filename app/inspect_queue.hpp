#pragma once

#include <filesystem>
#include <iosfwd>

namespace longhaul::app {

/// `longhaul inspect queue PATH`: reads a whole queue and looks at every document (size and whether it can be opened, not its
/// contents), without a model and without MPI. Prints jobs per kind, bytes, the biggest documents, and everything that a run
/// would refuse; as JSON on request.
/// Returns     0 when all is well, 1 when anything is wrong with a line or a document
/// Errors      ValidationError when the queue itself cannot be opened
int inspect_queue(std::filesystem::path const& queue, std::ostream& out, bool json);

}  // namespace longhaul::app
