#pragma once

#include "io/job.hpp"

#include <cstdint>
#include <string>
#include <variant>

namespace longhaul::io {

/// Files beyond this are taken for a mistake (a video, a disk image): a gigabyte is some 250 million tokens.
inline constexpr std::int64_t kMaxDocumentBytes = std::int64_t{1} << 30;

/// The text of a job: its file's bytes or its inline text, checked to be UTF-8, otherwise unchanged. Empty string for a job of
/// token ids. A file that cannot be used (missing, no permission, a folder or device, empty, too large, no UTF-8) is the
/// job's error, with codes unreadable, empty, too_long, invalid_utf8. Requires another kind than video_tokens.
[[nodiscard]] std::variant<std::string, JobError> load_document(
    Job const& job, std::int64_t max_bytes = kMaxDocumentBytes);

/// What load_document would say about size and type without reading the file: its bytes, or the error. Of video tokens the
/// layout is looked at.
[[nodiscard]] std::variant<std::int64_t, JobError> document_bytes(
    Job const& job, std::int64_t max_bytes = kMaxDocumentBytes);

}  // namespace longhaul::io
