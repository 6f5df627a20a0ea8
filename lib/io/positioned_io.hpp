#pragma once

#include <sys/uio.h>
#include <cstddef>
#include <cstdint>
#include <span>

namespace longhaul::io {

/// Whole reads and writes at an offset. They return 0 or the errno of the call that failed; reading past the end of the
/// file is EIO.
[[nodiscard]] int read_at(int descriptor, std::int64_t offset, std::span<std::byte> out);
[[nodiscard]] int write_at(int descriptor, std::int64_t offset, std::span<std::byte const> bytes);

/// Writes the pieces one after the other from `offset` on. Uses up `pieces`.
[[nodiscard]] int write_pieces_at(int descriptor, std::int64_t offset, std::span<iovec> pieces);

}  // namespace longhaul::io
