#pragma once

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace longhaul::io {

/// The file system failed while writing (disk full, input/output error): names the file, the reason and the remedy.
class IoError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Owner of a file descriptor.
class FileDescriptor {
  public:
    FileDescriptor() = default;
    explicit FileDescriptor(int descriptor) : descriptor_(descriptor) {}
    FileDescriptor(FileDescriptor&& other) noexcept
        : descriptor_(std::exchange(other.descriptor_, -1)) {}
    FileDescriptor& operator=(FileDescriptor&& other) noexcept {
        std::swap(descriptor_, other.descriptor_);
        return *this;
    }
    FileDescriptor(FileDescriptor const&) = delete;
    FileDescriptor& operator=(FileDescriptor const&) = delete;
    ~FileDescriptor();

    [[nodiscard]] int get() const { return descriptor_; }
    [[nodiscard]] bool valid() const { return descriptor_ >= 0; }

  private:
    int descriptor_ = -1;
};

/// Message of an errno value.
[[nodiscard]] std::string errno_text(int error);

/// Throws IoError for `path` with the reason and what helps against it.
[[noreturn]] void throw_io_error(std::filesystem::path const& path, char const* action, int error);

/// Writes all bytes or returns the errno of the call that failed (some bytes may be written then).
/// A process that wants EFBIG instead of a signal at its file size limit ignores SIGXFSZ.
[[nodiscard]] int write_all(int descriptor, std::string_view bytes);

/// Copies bytes [offset, offset + bytes) of one file behind what the other holds; returns an errno, 0 when all is well.
[[nodiscard]] int copy_bytes(int from, int to, std::int64_t offset, std::int64_t bytes);

/// Makes the names in a folder durable (after creating or renaming a file in it).
void sync_folder(std::filesystem::path const& folder);

/// Replaces a file by new content: PATH.tmp, sync, rename, sync of the folder. A reader sees the old file or the new one; on
/// failure the old one stays and the .tmp is removed.
/// Errors      IoError
void write_file_atomically(std::filesystem::path const& path, std::string_view content);

/// The bytes of a file, or the errno of the call that failed.
[[nodiscard]] std::variant<std::string, int> read_whole_file(std::filesystem::path const& path);

}  // namespace longhaul::io
