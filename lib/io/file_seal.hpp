#pragma once

#include "base/range.hpp"

#include <cstdint>
#include <filesystem>
#include <vector>

namespace longhaul::io {

/// A trailer behind a file's own last byte that proves, before any parser looks at the file, that it is whole and that its
/// structure is as it was written: the file's size and a CRC32C over the parts that describe the rest. What it leaves out
/// (the bulk) has checksums of its own inside the file. HDF5 ignores bytes behind its end of file.
///
/// Layout, little-endian: num_ranges x {int64 begin, int64 end}, "LHSEAL01", int64 num_ranges, int64 file_bytes,
/// uint32 CRC of (the bytes of the ranges in order, then the trailer up to here), uint32 its complement.
struct FileSeal {
    std::int64_t file_bytes = 0;  ///< with the trailer
    std::uint32_t checksum = 0;
};

/// Appends the trailer at `end`, the file's size so far. `covered`: ascending, disjoint.
/// Errors      IoError naming `path`
FileSeal write_seal(int descriptor, std::filesystem::path const& path, std::int64_t end,
                    std::vector<Range> const& covered);

/// Checks the trailer and what it covers.
/// Errors      ValidationError naming the file and the damage
[[nodiscard]] FileSeal check_seal(int descriptor, std::filesystem::path const& path);

}  // namespace longhaul::io
