#pragma once

#include "io/video_tokens_file.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace longhaul::engine {

/// What a job has to know of its file of video tokens.
struct VideoTokens {
    std::int64_t num_rows = 0;
    io::FileStamp stamp;
    io::ContentHash hash;
};

/// Checks and hashes files of video tokens. Reading one to the end costs as much as the disk takes, so its hash is kept
/// for the jobs that follow, as long as its stamp stays the same.
class VideoTokensIndex {
  public:
    struct Options {
        std::int64_t hidden_dim = 0;
        std::string model_name;
        std::int64_t max_rows = 0;  ///< a longer file is refused before it is read
    };

    explicit VideoTokensIndex(Options options) : options_(std::move(options)) {}

    /// Errors  io::VideoTokensError, with code too_long besides those of the file
    [[nodiscard]] VideoTokens const& look_up(std::filesystem::path const& path);

  private:
    Options options_;
    std::map<std::filesystem::path, VideoTokens> known_;
};

}  // namespace longhaul::engine
