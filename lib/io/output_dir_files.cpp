#include "io/output_dir_files.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <system_error>

namespace longhaul::io {
namespace {

char const* remedy_for(int error) {
    switch (error) {
        case ENOSPC:
            return "free some space on that file system and start the same command again";
        case EDQUOT:
            return "the quota is used up: free some space and start the same command again";
        case EFBIG:
            return "raise the limit of file sizes (ulimit -f) and start the same command again";
        case EACCES:
        case EPERM:
        case EROFS:
            return "give write permission or choose another folder";
        default:
            return "check the file system and start the same command again; results written so far "
                   "are kept";
    }
}

}  // namespace

FileDescriptor::~FileDescriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

std::string errno_text(int error) { return std::generic_category().message(error); }

void throw_io_error(std::filesystem::path const& path, char const* action, int error) {
    throw IoError(fmt::format("cannot {} {}: {}; {}", action, path.string(), errno_text(error),
                              remedy_for(error)));
}

int write_all(int descriptor, std::string_view bytes) {
    while (!bytes.empty()) {
        auto const written = ::write(descriptor, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return errno;
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return 0;
}

int copy_bytes(int from, int to, std::int64_t offset, std::int64_t bytes) {
    std::string piece(
        static_cast<std::size_t>(std::min<std::int64_t>(bytes, std::int64_t{1} << 20)), '\0');
    while (bytes > 0) {
        auto const want = std::min(piece.size(), static_cast<std::size_t>(bytes));
        auto const got = ::pread(from, piece.data(), want, offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return got < 0 ? errno : EIO;
        auto const read = std::string_view(piece).substr(0, static_cast<std::size_t>(got));
        if (int const error = write_all(to, read)) return error;
        offset += got;
        bytes -= got;
    }
    return 0;
}

void sync_folder(std::filesystem::path const& folder) {
    FileDescriptor const descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // Some network file systems do not sync folders (EINVAL): their renames are as durable as they get.
    if (!descriptor.valid() || (::fsync(descriptor.get()) != 0 && errno != EINVAL)) {
        throw_io_error(folder, "sync", errno);
    }
}

void write_file_atomically(std::filesystem::path const& path, std::string_view content) {
    std::filesystem::path temporary = path;
    temporary += ".tmp";
    int error = 0;
    {
        FileDescriptor const file(
            ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
        if (!file.valid()) throw_io_error(temporary, "create", errno);
        error = write_all(file.get(), content);
        if (error == 0 && ::fsync(file.get()) != 0) error = errno;
    }
    if (error == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
    if (error != 0) {
        ::unlink(temporary.c_str());
        throw_io_error(path, "write", error);
    }
    sync_folder(path.parent_path().empty() ? "." : path.parent_path());
}

std::variant<std::string, int> read_whole_file(std::filesystem::path const& path) {
    FileDescriptor const file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat status {};
    if (!file.valid() || ::fstat(file.get(), &status) != 0) return errno;
    if (!S_ISREG(status.st_mode)) return EINVAL;
    std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
    std::size_t filled = 0;
    while (filled < bytes.size()) {
        auto const got = ::read(file.get(), bytes.data() + filled, bytes.size() - filled);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno;
        if (got == 0) break;
        filled += static_cast<std::size_t>(got);
    }
    bytes.resize(filled);
    return bytes;
}

}  // namespace longhaul::io
