#include "io/atomic_file.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <utility>

namespace longhaul::io {
namespace {

constexpr std::size_t kBuffer = std::size_t{1} << 16;

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
    auto temporary = path_;
    temporary += ".tmp";
    file_ =
        FileDescriptor(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (!file_.valid()) throw_io_error(temporary, "create", errno);
    temporary_ = std::move(temporary);
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      file_(std::move(other.file_)),
      buffer_(std::move(other.buffer_)) {}

AtomicFile::~AtomicFile() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::string_view bytes) {
    if (buffer_.size() + bytes.size() > kBuffer) flush();
    if (bytes.size() >= kBuffer) {
        if (int const error = write_all(file_.get(), bytes)) throw_io_error(path_, "write", error);
    } else {
        buffer_ += bytes;
    }
}

void AtomicFile::append_from(int descriptor, std::int64_t offset, std::int64_t bytes) {
    flush();
    if (int const error = copy_bytes(descriptor, file_.get(), offset, bytes)) {
        throw_io_error(path_, "write", error);
    }
}

void AtomicFile::flush() {
    if (int const error = write_all(file_.get(), buffer_)) throw_io_error(path_, "write", error);
    buffer_.clear();
}

void AtomicFile::sync() {
    flush();
    if (::fsync(file_.get()) != 0) throw_io_error(path_, "write", errno);
}

void AtomicFile::commit() {
    sync();
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw_io_error(path_, "write", errno);
    temporary_.clear();
}

}  // namespace longhaul::io
