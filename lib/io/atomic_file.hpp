#pragma once

#include "io/output_dir_files.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace longhaul::io {

/// A file written piece by piece under PATH.tmp that takes its name only when it is whole; until then whatever had the
/// name stays. Without commit() nothing is left of it.
/// Errors      IoError
class AtomicFile {
  public:
    explicit AtomicFile(std::filesystem::path path);
    AtomicFile(AtomicFile&& other) noexcept;
    AtomicFile& operator=(AtomicFile&&) = delete;
    AtomicFile(AtomicFile const&) = delete;
    AtomicFile& operator=(AtomicFile const&) = delete;
    ~AtomicFile();

    [[nodiscard]] std::filesystem::path const& path() const { return path_; }

    /// Buffered.
    void write(std::string_view bytes);
    /// Bytes [offset, offset + bytes) of an open file.
    void append_from(int descriptor, std::int64_t offset, std::int64_t bytes);
    /// Everything written so far onto the disk.
    void sync();
    /// sync(), then the name; the folder is left for the caller to sync (sync_folder).
    void commit();

  private:
    void flush();

    std::filesystem::path path_;
    std::filesystem::path temporary_;  // empty: committed, or moved from
    FileDescriptor file_;
    std::string buffer_;
};

}  // namespace longhaul::io
