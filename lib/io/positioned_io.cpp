#include "io/positioned_io.hpp"

#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <climits>

namespace longhaul::io {

int read_at(int descriptor, std::int64_t offset, std::span<std::byte> out) {
    while (!out.empty()) {
        ssize_t const got = ::pread(descriptor, out.data(), out.size(), offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno;
        if (got == 0) return EIO;
        out = out.subspan(static_cast<std::size_t>(got));
        offset += got;
    }
    return 0;
}

int write_at(int descriptor, std::int64_t offset, std::span<std::byte const> bytes) {
    iovec piece{const_cast<std::byte*>(bytes.data()), bytes.size()};  // the call only reads from it
    return write_pieces_at(descriptor, offset, {&piece, 1});
}

int write_pieces_at(int descriptor, std::int64_t offset, std::span<iovec> pieces) {
    while (!pieces.empty()) {
        auto const count = static_cast<int>(std::min<std::size_t>(pieces.size(), IOV_MAX));
        ssize_t const written = ::pwritev(descriptor, pieces.data(), count, offset);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return errno;
        offset += written;
        auto left = static_cast<std::size_t>(written);
        while (!pieces.empty() && left >= pieces.front().iov_len) {
            left -= pieces.front().iov_len;
            pieces = pieces.subspan(1);
        }
        if (left != 0) {
            pieces.front().iov_base = static_cast<std::byte*>(pieces.front().iov_base) + left;
            pieces.front().iov_len -= left;
        }
    }
    return 0;
}

}  // namespace longhaul::io
