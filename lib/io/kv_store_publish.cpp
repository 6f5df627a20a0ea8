#include "io/kv_store_publish.hpp"

#include "base/error.hpp"
#include "io/kv_segment_check.hpp"
#include "io/kv_segment_reader.hpp"
#include "io/output_dir_files.hpp"

#include <fmt/format.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <system_error>
#include <utility>
#include <vector>

namespace longhaul::io {
namespace {

std::filesystem::path unique_temporary(std::filesystem::path const& path) {
    static std::atomic<std::int64_t> number{0};
    std::array<char, 256> host{};
    if (::gethostname(host.data(), host.size() - 1) != 0) host.fill('\0');
    std::string name(host.data());
    std::replace_if(
        name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '-');
    std::filesystem::path temporary = path;
    temporary += fmt::format(".{}-{}-{}.tmp", name, ::getpid(), ++number);
    return temporary;
}

/// A file that is gone with this object unless it has got its name.
class Temporary {
  public:
    explicit Temporary(std::filesystem::path target)
        : target_(std::move(target)), path_(unique_temporary(target_)) {}
    Temporary(Temporary const&) = delete;
    Temporary& operator=(Temporary const&) = delete;
    ~Temporary() { ::unlink(path_.c_str()); }

    [[nodiscard]] std::filesystem::path const& path() const { return path_; }
    void rename() const {
        // Where both names are links to one file this does nothing, and the destructor takes the temporary one away.
        if (std::rename(path_.c_str(), target_.c_str()) != 0) {
            throw_io_error(target_, "write", errno);
        }
    }

  private:
    std::filesystem::path target_;
    std::filesystem::path path_;
};

FileDescriptor create(std::filesystem::path const& path) {
    FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!file.valid()) throw_io_error(path, "create", errno);
    return file;
}

void sync(FileDescriptor const& file, std::filesystem::path const& path) {
    if (::fsync(file.get()) != 0) throw_io_error(path, "write", errno);
}

bool leaves_room(std::filesystem::path const& folder, std::int64_t bytes) {
    struct statvfs status {};
    if (::statvfs(folder.c_str(), &status) != 0) return true;
    return static_cast<double>(bytes) <=
           static_cast<double>(status.f_bavail) * static_cast<double>(status.f_frsize);
}

void copy_segment(std::filesystem::path const& from, std::filesystem::path const& to,
                  KvSegmentInfo const& info) {
    if (!leaves_room(to.parent_path(), info.bytes)) throw_io_error(to, "write", ENOSPC);
    FileDescriptor const source(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
    if (!source.valid()) throw_io_error(from, "read", errno);
    FileDescriptor const target = create(to);
    if (int const error = copy_bytes(source.get(), target.get(), 0, info.bytes)) {
        throw_io_error(to, "write", error);
    }
    sync(target, to);
    KvSegmentReader const copy(to);
    LH_VALIDATE(copy.info().bytes == info.bytes && copy.info().checksum == info.checksum,
                "{} changed while it was copied into the KV store", from.string());
}

}  // namespace

void publish_file(std::filesystem::path const& path, std::string_view content) {
    Temporary const temporary(path);
    FileDescriptor const file = create(temporary.path());
    if (int const error = write_all(file.get(), content)) throw_io_error(path, "write", error);
    sync(file, path);
    temporary.rename();
}

std::string kv_store_segment_name(KvSegmentShape const& shape,
                                  std::span<KvSegmentBlock const> blocks,
                                  KvSegmentInfo const& info) {
    std::string const head = fmt::format(
        "longhaul-kv-segment-1 {}:{} {} {} {} {} {} {} {} {} {} {} {} {} {} ", shape.model.size(),
        shape.model, dtype_name(shape.dtype), shape.block_slots, shape.key_dim, shape.value_dim,
        shape.layers.begin, shape.layers.end, shape.kv_heads.begin, shape.kv_heads.end,
        shape.num_layers, shape.num_kv_heads, info.bytes, info.blocks, info.checksum);
    std::vector<std::uint64_t> table;
    table.reserve(blocks.size() * 4);
    for (KvSegmentBlock const& block : blocks) {
        table.insert(table.end(),
                     {block.key.low, block.key.high, static_cast<std::uint64_t>(block.block),
                      static_cast<std::uint64_t>(block.slots)});
    }
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, head.data(), head.size());
    XXH3_128bits_update(&state, table.data(), table.size() * sizeof(std::uint64_t));
    XXH128_hash_t const hash = XXH3_128bits_digest(&state);
    return fmt::format("{:016x}{:016x}.h5", hash.high64, hash.low64);
}

void publish_segment(std::filesystem::path const& from, std::filesystem::path const& to,
                     KvSegmentInfo const& info, LinkFile link_file) {
    Temporary const temporary(to);
    if (link_file(from.c_str(), temporary.path().c_str()) != 0) {
        int const error = errno;
        // Another file system, no more links to this file, or links not allowed or not known here.
        bool const copy = error == EXDEV || error == EMLINK || error == EPERM ||
                          error == EOPNOTSUPP || error == ENOSYS;
        if (!copy) throw_io_error(to, "link a segment to", error);
        std::error_code ignored;
        if (std::filesystem::exists(to, ignored) && KvSegmentCheck(to, info).problems().empty()) {
            return;
        }
        copy_segment(from, temporary.path(), info);
    }
    temporary.rename();
}

}  // namespace longhaul::io
