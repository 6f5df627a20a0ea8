#pragma once

#include <array>
#include <cstdint>

namespace longhaul::text {

/// The four classes that pre-tokenisers of the GPT-2 family tell apart.
enum class CharClass : std::uint8_t {
    other,
    letter,  ///< \p{L}
    number,  ///< \p{N}
    space,   ///< \s: the Unicode property White_Space
};

/// Class of a code point by the general categories of utf8proc (Unicode 15 in Debian 12). Code points assigned later count as
/// `other`; Hugging Face tokenizers, built on newer tables, differs in exactly those.
[[nodiscard]] CharClass classify(char32_t code_point);

/// Classes of the code points with UTF-8 of at most two bytes, for hot loops.
class ClassTable {
  public:
    static constexpr char32_t kSize = 0x800;

    ClassTable();
    [[nodiscard]] CharClass operator()(char32_t code_point) const {
        return code_point < kSize ? classes_[code_point] : classify(code_point);
    }

    /// The one table of the process.
    [[nodiscard]] static ClassTable const& instance();

  private:
    std::array<CharClass, kSize> classes_{};
};

}  // namespace longhaul::text
