#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace longhaul::test {

/// How numbers of /tokens are stored.
enum class VideoElement { f32, f32_big_endian, f16, bf16, u16_unmarked, f64, i32 };

struct VideoTokensSpec {
    std::vector<std::int64_t> shape;  ///< of /tokens
    std::vector<float> values;        ///< row-major; empty: nothing is written into the dataset
    VideoElement element = VideoElement::f32;
    std::vector<std::int64_t> chunk;  ///< empty: contiguous
    bool deflate = false;
    std::optional<std::int64_t> timestamps;  ///< number of them
    std::string model;                       ///< attribute; empty: none
    bool variable_text = false;              ///< how text attributes are stored
    std::optional<std::int64_t> width;       ///< attribute
    std::string name = "tokens";
};

void write_video_tokens(VideoTokensSpec const& spec, std::filesystem::path const& path);

/// A file whose /tokens lies elsewhere.
enum class Elsewhere { external_link, soft_link, external_storage, virtual_dataset };
void write_tokens_elsewhere(Elsewhere where, std::filesystem::path const& path,
                            std::filesystem::path const& real, std::int64_t rows,
                            std::int64_t width);

/// Numbers between -1 and 1 that bf16 and f16 hold exactly, the same for the same seed.
[[nodiscard]] std::vector<float> random_rows(std::uint64_t seed, std::int64_t count);

}  // namespace longhaul::test
