#pragma once

#include "base/types.hpp"
#include "io/job.hpp"
#include "engine/text_model.hpp"

#include <vector>

namespace longhaul::engine {

/// Tokens on both sides of the video of a video_tokens job.
struct VideoSides {
    std::vector<TokenId> before;
    std::vector<TokenId> after;
};

/// Renders the job's messages with the video where the prompt's marker stands (no marker: the video, a blank line, the
/// prompt) and tokenises the two sides apart, so that what follows a video cannot change what precedes it.
/// Errors  ValidationError where the chat template does not show the user message as it is
[[nodiscard]] VideoSides encode_around_video(TextModel const& text, io::Job const& job);

}  // namespace longhaul::engine
