#include "io/mapped_file.hpp"

#include "base/error.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <system_error>
#include <utility>

namespace longhaul::io {
namespace {

class FileHandle {
  public:
    // Without O_NONBLOCK, opening a named pipe would wait for its writer.
    explicit FileHandle(std::filesystem::path const& path)
        : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
    ~FileHandle() {
        if (descriptor_ >= 0) {
            ::close(descriptor_);
        }
    }
    FileHandle(FileHandle const&) = delete;
    FileHandle& operator=(FileHandle const&) = delete;

    [[nodiscard]] int get() const { return descriptor_; }

  private:
    int descriptor_;
};

std::string last_error() { return std::generic_category().message(errno); }

}  // namespace

MappedFile::MappedFile(std::filesystem::path path) : path_(std::move(path)) {
    FileHandle const file(path_);
    LH_VALIDATE(file.get() >= 0, "cannot open {}: {}; check the path and its permissions",
                path_.string(), last_error());
    struct stat status {};
    LH_VALIDATE(::fstat(file.get(), &status) == 0, "cannot examine {}: {}", path_.string(),
                last_error());
    LH_VALIDATE(S_ISREG(status.st_mode), "{} is not a regular file; give the path of a model file",
                path_.string());
    if (status.st_size == 0) {
        return;  // an empty file cannot be mapped; its reader says what is missing
    }
    auto const size = static_cast<std::size_t>(status.st_size);
    void* const address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    LH_VALIDATE(address != MAP_FAILED,
                "cannot map {} ({} bytes): {}; raise the limit of the address space (ulimit -v)",
                path_.string(), size, last_error());
    bytes_ = {static_cast<std::byte const*>(address), size};
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}

bool is_present(std::filesystem::path const& path) {
    std::error_code ignored;
    return std::filesystem::exists(path, ignored);
}

MappedFile::~MappedFile() {
    if (!bytes_.empty()) {
        ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
    }
}

}  // namespace longhaul::io
