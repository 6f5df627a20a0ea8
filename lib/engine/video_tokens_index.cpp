#include "engine/video_tokens_index.hpp"

#include "io/job_utf8.hpp"

#include <fmt/format.h>

namespace longhaul::engine {

VideoTokens const& VideoTokensIndex::look_up(std::filesystem::path const& path) {
    auto const known = known_.find(path);
    if (known != known_.end() && known->second.stamp == io::stamp_of(path)) {
        return known->second;
    }
    io::VideoTokensFile const file(path);
    file.check_model(options_.hidden_dim, options_.model_name);
    std::int64_t const rows = file.info().num_rows;
    if (rows > options_.max_rows) {
        throw io::VideoTokensError(
            {"too_long",
             fmt::format("the video tokens {} have {} rows, this run's KV cache holds {}; use more "
                         "ranks for --kvp, --spp or --tp, raise --kv-memory, or cut the video",
                         io::replace_invalid_utf8(path.string()), rows, options_.max_rows)});
    }
    return known_[path] = {rows, file.info().stamp, file.hash_rows()};
}

}  // namespace longhaul::engine
