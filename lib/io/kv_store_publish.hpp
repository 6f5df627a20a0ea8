#pragma once

#include "io/kv_segment.hpp"

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

/// The ways in which files get into a KV store. Each is made under a name of its maker's own (host, process, number, ".tmp")
/// and renamed, so several processes may do the same thing at once.
namespace longhaul::io {

/// Writes a file, synced, under a name of its own, then renames it. The folder is left for the caller to sync.
/// Errors      IoError: nothing is left
void publish_file(std::filesystem::path const& path, std::string_view content);

/// The name of a segment in a store: a hash of its shape, its table of blocks, its size and its checksum (which covers the
/// checksums of the blocks).
[[nodiscard]] std::string kv_store_segment_name(KvSegmentShape const& shape,
                                                std::span<KvSegmentBlock const> blocks,
                                                KvSegmentInfo const& info);

/// ::link, or what a test has in its place.
using LinkFile = int (*)(char const* from, char const* to);

/// Brings a segment under its name in the store: by a hard link, which also replaces a file that was damaged, or where the
/// file system makes none by a synced copy, unless a sound file has the name already.
/// Errors      IoError, ValidationError (the copy is not what `info` says): what was there stays
void publish_segment(std::filesystem::path const& from, std::filesystem::path const& to,
                     KvSegmentInfo const& info, LinkFile link_file);

}  // namespace longhaul::io
