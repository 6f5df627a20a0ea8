#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace longhaul::io {

/// A regular file mapped read-only as a whole. Pages are read when they are touched and belong to the page cache, so the
/// ranks of one node share them.
///
/// Limits      A file that another process cuts short while it is mapped kills this one with SIGBUS: the kernel offers no
///             check that would not race. Replace model files by renaming a new one over them, never in place.
/// Errors      ValidationError when the path cannot be opened or mapped, or is no regular file
class MappedFile {
  public:
    explicit MappedFile(std::filesystem::path path);
    ~MappedFile();
    MappedFile(MappedFile&& other) noexcept;
    MappedFile(MappedFile const&) = delete;
    MappedFile& operator=(MappedFile const&) = delete;
    MappedFile& operator=(MappedFile&&) = delete;

    [[nodiscard]] std::filesystem::path const& path() const { return path_; }
    [[nodiscard]] std::span<std::byte const> bytes() const { return bytes_; }
    [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(bytes_.size()); }

  private:
    std::filesystem::path path_;
    std::span<std::byte const> bytes_;
};

/// Whether something of this name can be seen; a folder that may not be searched counts as empty.
[[nodiscard]] bool is_present(std::filesystem::path const& path);

}  // namespace longhaul::io
