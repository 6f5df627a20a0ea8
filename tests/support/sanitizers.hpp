#pragma once

namespace longhaul::test {

/// Whether this build runs under a sanitizer, ten times slower and more: tests of many cases then take a part of them.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace longhaul::test
