#pragma once

#include "base/types.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// One line of the queue in its native form:
///   {"id", "kind": "document"|"text"|"score"|"video_tokens", "path"|"text"|"token_ids", "prompt"?, "system"?,
///    "max_tokens"?, "temperature"?, "seed"?, "logprobs"?, "ignore_eos"?}
/// A field set to null counts as left out. A field or kind that is not supported is an error, never ignored.
namespace longhaul::io {

/// Of kind video_tokens the document is an HDF5 file of embeddings (io/video_tokens_file.hpp).
enum class JobKind { document, text, score, video_tokens };

/// Where the video stands in the prompt of a video_tokens job; at most once. Without it the video comes first.
inline constexpr std::string_view kVideoMarker = "{video}";

[[nodiscard]] char const* job_kind_name(JobKind kind);

inline constexpr std::int64_t kDefaultMaxTokens = 512;
inline constexpr std::int32_t kMaxTopLogprobs = 1024;
inline constexpr std::size_t kMaxIdBytes = 512;

struct SamplingOptions {
    std::int64_t max_tokens = kDefaultMaxTokens;  ///< at least 1
    double temperature = 0;                       ///< 0 is greedy
    std::uint64_t seed = 0;
    std::optional<std::int32_t>
        logprobs;  ///< k of the top-k list per token, 0 for the chosen token alone; unset: not asked
    bool ignore_eos = false;

    friend bool operator==(SamplingOptions const&, SamplingOptions const&) = default;
};

/// What to run. Exactly one of path, text and token_ids is set (video_tokens: path), and none of them is empty.
struct Job {
    std::string id;
    JobKind kind = JobKind::document;
    std::optional<std::filesystem::path>
        path;  ///< already resolved against the folder of the queue file
    std::optional<std::string> text;
    std::optional<std::vector<TokenId>>
        token_ids;                      ///< go in raw: such a job has neither prompt nor system
    std::optional<std::string> prompt;  ///< not empty when set
    std::optional<std::string> system;
    SamplingOptions sampling;  ///< all defaults for kind score

    friend bool operator==(Job const&, Job const&) = default;
};

/// Why a job has no result. The code is for programs: unreadable, empty, invalid_utf8, too_long, unknown_kind,
/// unsupported_field, bad_field, bad_json, duplicate_id, non_finite, bad_video_tokens. The message says what is wrong and what helps.
struct JobError {
    std::string code;
    std::string message;

    friend bool operator==(JobError const&, JobError const&) = default;
};

/// A line that is no job. Gets an error line among the results.
struct BadJob {
    std::string id;  ///< its own, or "line-17" where it has none that can be trusted
    JobError error;
    std::string job_hash;  ///< over the bytes of the line, so that a corrected line runs again
    bool own_id = false;   ///< the id stands in the line

    friend bool operator==(BadJob const&, BadJob const&) = default;
};

using ParsedJob = std::variant<Job, BadJob>;

/// Parses one line (no line feed in it). Any bytes are allowed; nothing is thrown for bad input.
/// Units       line_number counts from 1 and names the line in messages
[[nodiscard]] ParsedJob parse_job(std::string_view line, std::int64_t line_number,
                                  std::filesystem::path const& base_dir);

/// The bytes with which a job travels from world rank 0 to the leader of a replica, and back again.
/// Errors      ValidationError when the bytes are not those of a job
[[nodiscard]] std::string serialize_job(Job const& job);
[[nodiscard]] Job deserialize_job(std::string_view bytes);

}  // namespace longhaul::io
