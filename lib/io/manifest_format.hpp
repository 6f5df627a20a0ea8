#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

/// What the two directions of manifest.hpp share, and the first line for other files of that form.
namespace longhaul::io {

inline constexpr std::int64_t kManifestVersion = 1;
inline constexpr std::string_view kManifestMagic = "longhaul-manifest ";
inline constexpr std::array<char const*, 4> kSavedEndNames = {"none", "stop", "length", "scored"};

/// The first line, with its line feed.
[[nodiscard]] std::string manifest_header(std::int64_t version, std::string_view body,
                                          std::string_view magic = kManifestMagic);

/// The version of a text that is whole and unchanged; `body` becomes its second line.
/// Errors      DamagedManifest
[[nodiscard]] std::int64_t check_manifest_header(std::string_view text, std::string_view& body,
                                                 std::string_view magic = kManifestMagic);

}  // namespace longhaul::io
