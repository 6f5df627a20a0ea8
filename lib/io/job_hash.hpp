#pragma once

#include "io/job.hpp"

#include <string>
#include <string_view>

namespace longhaul::io {

/// Identity of what a job computes: 32 hex digits over every field that bears on its result, and its document's bytes.
/// Where the document lies (its path, or inline in the queue), the order of the keys and defaults written out make no
/// difference, so moving a folder of documents does not run them again.
/// Requires    document = load_document(job); empty where that failed (the job then runs again once it can be read)
[[nodiscard]] std::string job_hash(Job const& job, std::string_view document);

/// For a line that is no job.
[[nodiscard]] std::string line_hash(std::string_view line);

}  // namespace longhaul::io
