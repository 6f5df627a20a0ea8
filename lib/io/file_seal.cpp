#include "io/file_seal.hpp"

#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "io/output_dir_files.hpp"
#include "io/positioned_io.hpp"

#include <sys/stat.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace longhaul::io {
namespace {

struct Tail {
    char magic[8] = {'L', 'H', 'S', 'E', 'A', 'L', '0', '1'};
    std::int64_t num_ranges = 0;
    std::int64_t file_bytes = 0;
    std::uint32_t checksum = 0;
    std::uint32_t complement = 0;
};
static_assert(sizeof(Tail) == 32);
constexpr std::size_t kSealedTailBytes = offsetof(Tail, checksum);
constexpr std::size_t kBufferBytes = std::size_t{256} << 10;

template <class T>
std::span<std::byte const> bytes_of(T const* values, std::size_t count) {
    return std::as_bytes(std::span<T const>(values, count));
}

// CRC of the ranges' bytes; empty when they cannot be read to their ends.
std::optional<std::uint32_t> crc_of(int descriptor, std::vector<Range> const& ranges) {
    std::vector<std::byte> buffer(kBufferBytes);
    std::uint32_t crc = 0;
    for (Range const& range : ranges) {
        for (std::int64_t at = range.begin; at < range.end;) {
            auto const size = std::min<std::int64_t>(range.end - at, kBufferBytes);
            auto const part = std::span(buffer).first(static_cast<std::size_t>(size));
            if (read_at(descriptor, at, part) != 0) return std::nullopt;
            crc = crc32c(part, crc);
            at += size;
        }
    }
    return crc;
}

std::uint32_t with_trailer(std::uint32_t crc, std::vector<Range> const& ranges, Tail const& tail) {
    crc = crc32c(bytes_of(ranges.data(), ranges.size()), crc);
    return crc32c(bytes_of(&tail, 1).first(kSealedTailBytes), crc);
}

std::string damaged(std::filesystem::path const& path, char const* what) {
    return fmt::format(
        "{} is damaged: {}; remove it or restore it from a copy, what it held is computed again",
        path.string(), what);
}

}  // namespace

FileSeal write_seal(int descriptor, std::filesystem::path const& path, std::int64_t end,
                    std::vector<Range> const& covered) {
    Tail tail;
    tail.num_ranges = static_cast<std::int64_t>(covered.size());
    std::size_t const range_bytes = covered.size() * sizeof(Range);
    tail.file_bytes = end + static_cast<std::int64_t>(range_bytes + sizeof tail);
    auto const crc = crc_of(descriptor, covered);
    if (!crc) throw_io_error(path, "read back", EIO);
    tail.checksum = with_trailer(*crc, covered, tail);
    tail.complement = ~tail.checksum;
    std::vector<std::byte> trailer(range_bytes + sizeof tail);
    if (range_bytes != 0) std::memcpy(trailer.data(), covered.data(), range_bytes);
    std::memcpy(trailer.data() + range_bytes, &tail, sizeof tail);
    if (int const error = write_at(descriptor, end, trailer); error != 0) {
        throw_io_error(path, "write", error);
    }
    return {tail.file_bytes, tail.checksum};
}

FileSeal check_seal(int descriptor, std::filesystem::path const& path) {
    auto const require = [&](bool good, char const* what) {
        if (!good) throw ValidationError(damaged(path, what));
    };
    struct stat status {};
    require(::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode), "it is not a plain file");
    std::int64_t const size = status.st_size;
    Tail tail;
    std::int64_t const tail_bytes = sizeof tail;
    require(size >= tail_bytes, "it is shorter than the seal at its end");
    auto const into = [](auto* values, std::size_t count) {
        return std::as_writable_bytes(std::span(values, count));
    };
    require(read_at(descriptor, size - tail_bytes, into(&tail, 1)) == 0, "its seal cannot be read");
    require(std::memcmp(tail.magic, Tail{}.magic, sizeof tail.magic) == 0,
            "it does not end in a seal (cut off, or never finished)");
    require(tail.file_bytes == size, "it is not as long as it was written");
    std::int64_t const range_bytes = sizeof(Range);
    require(tail.num_ranges >= 0 && tail.num_ranges <= (size - tail_bytes) / range_bytes,
            "its seal is broken");
    std::int64_t const end = size - tail_bytes - tail.num_ranges * range_bytes;
    std::vector<Range> ranges(static_cast<std::size_t>(tail.num_ranges));
    require(ranges.empty() || read_at(descriptor, end, into(ranges.data(), ranges.size())) == 0,
            "its seal cannot be read");
    std::int64_t before = 0;
    for (Range const& range : ranges) {
        require(range.begin >= before && range.end >= range.begin && range.end <= end,
                "its seal is broken");
        before = range.end;
    }
    auto const crc = crc_of(descriptor, ranges);
    require(crc.has_value(), "its structure cannot be read");
    require(with_trailer(*crc, ranges, tail) == tail.checksum && tail.complement == ~tail.checksum,
            "its structure does not match its checksum");
    return {size, tail.checksum};
}

}  // namespace longhaul::io
