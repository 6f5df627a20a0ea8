#pragma once

#include "base/range.hpp"
#include "io/job.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace longhaul::io {

/// State of a file as far as it shows without reading it: a file with the same stamp is taken for unchanged.
struct FileStamp {
    std::int64_t bytes = -1;
    std::int64_t modified_ns = 0;  ///< since the epoch

    friend bool operator==(FileStamp const&, FileStamp const&) = default;
};

/// The stamp of a regular file; bytes = -1 where there is none.
[[nodiscard]] FileStamp stamp_of(std::filesystem::path const& path);

/// XXH3, 128 bits.
struct ContentHash {
    std::uint64_t low = 0;
    std::uint64_t high = 0;

    [[nodiscard]] std::string hex() const;
    friend bool operator==(ContentHash const&, ContentHash const&) = default;
};

/// A file of video tokens that cannot be used: the error of the job that names it.
class VideoTokensError : public std::runtime_error {
  public:
    explicit VideoTokensError(JobError reason)
        : std::runtime_error(reason.message), error(std::move(reason)) {}

    JobError error;
};

enum class VideoTokensElement { f32, f16, bf16 };

struct VideoTokensInfo {
    std::int64_t num_rows = 0;
    std::int64_t width = 0;  ///< numbers per row: the model's hidden_dim
    VideoTokensElement element = VideoTokensElement::f32;
    std::string model;  ///< name of the model that the rows were made for; empty: not said
    bool has_timestamps = false;
    FileStamp stamp;  ///< when it was opened

    [[nodiscard]] std::int64_t element_bytes() const {
        return element == VideoTokensElement::f32 ? 4 : 2;
    }
    [[nodiscard]] std::int64_t row_bytes() const { return width * element_bytes(); }
};

namespace detail {
struct VideoTokensLayout;
}

/// Precomputed visual embeddings, one row per entry of a sequence, in an HDF5 file:
///   /tokens      [n, hidden_dim]  float32, float16, or uint16 with the attribute dtype = "bf16"; little-endian,
///                                 contiguous or chunked, not compressed
///   /timestamps  [n]              optional, numbers
///   attributes   model (text of fixed length), width (integer); optional, of /tokens or of the file
/// Opening checks the layout and reads none of the rows; rows are read slice by slice, never all at once. The rows must
/// lie in the file itself, all of them, so that its stamp and hash speak for them.
///
/// Errors   VideoTokensError with code unreadable (missing, damaged, cut short, changed since it was opened), empty,
///          bad_video_tokens (not laid out as above), non_finite
/// Thread   const functions may run concurrently; opening waits for other users of HDF5 in the process
class VideoTokensFile {
  public:
    explicit VideoTokensFile(std::filesystem::path path);
    ~VideoTokensFile();
    VideoTokensFile(VideoTokensFile const&) = delete;
    VideoTokensFile& operator=(VideoTokensFile const&) = delete;

    [[nodiscard]] VideoTokensInfo const& info() const;

    /// Refuses a file that does not belong to the model (bad_video_tokens). An empty name is not compared.
    void check_model(std::int64_t hidden_dim, std::string const& model_name) const;

    /// Reads rows as float into out [rows.size(), width]. Requires 0 <= rows.begin <= rows.end <= num_rows.
    void read(Range rows, float* out) const;

    /// Reads everything once: hash of type, shape and rows. A row that is not finite is an error that names it.
    [[nodiscard]] ContentHash hash_rows() const;

  private:
    void open();
    void read_raw(Range rows, std::byte* out) const;
    void read_piece(std::int64_t address, std::int64_t bytes, std::byte* out) const;
    void check_unchanged() const;
    void expand(std::byte const* raw, std::int64_t count, float* out) const;

    std::filesystem::path path_;
    int descriptor_ = -1;
    std::unique_ptr<detail::VideoTokensLayout> layout_;
};

}  // namespace longhaul::io
