#pragma once

#include "io/video_tokens_file.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace longhaul::io::detail {

/// What a file of video tokens says about itself, and where its rows lie.
///
/// HDF5 is asked once, on opening; the rows are then read past it. So slices need not wait for the process-wide lock, and
/// a damaged file cannot lead the library astray: 1.10 does not check a chunk's size against its shape, for instance.
struct VideoTokensLayout {
    VideoTokensInfo info;
    std::int64_t chunk_rows = 0;     ///< a contiguous dataset is one chunk
    std::int64_t chunk_columns = 0;  ///< chunks at the edges have their full size in the file
    std::vector<std::int64_t>
        addresses;  ///< offset of each chunk in the file, row-major; inside the file
};

/// Reads the layout of a file of `file_bytes` bytes.
/// Errors  VideoTokensError
[[nodiscard]] VideoTokensLayout read_video_tokens_layout(std::filesystem::path const& path,
                                                         std::int64_t file_bytes);

/// Throws the error of the job that names the file.
[[noreturn]] void refuse_video_tokens(std::filesystem::path const& path, char const* code,
                                      std::string const& reason);

}  // namespace longhaul::io::detail
