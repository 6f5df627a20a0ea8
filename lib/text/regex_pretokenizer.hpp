#pragma once

#include "text/pretokenizer.hpp"

#include <string>
#include <vector>

namespace longhaul::text {

/// PCRE2 patterns that give the same cuts as the hand-written matcher of gpt2_pretokenizer.hpp. White space is spelt out,
/// because PCRE2's \s also takes U+180E, which is no White_Space since Unicode 6.3.
inline constexpr char const* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\x09-\x0d\x85\p{Z}\p{L}\p{N}]+)"
    R"(|[\x09-\x0d\x85\p{Z}]+(?![^\x09-\x0d\x85\p{Z}])|[\x09-\x0d\x85\p{Z}]+)";
inline constexpr char const* kDigitPattern = R"(\p{N})";

/// Generic path: each pattern in turn cuts the pieces that the one before left; matches and what lies between them are pieces.
/// PCRE2 with UTF, UCP and its compiler (Unicode 14 in Debian 12). What a pattern looked at is unknown, so look_end is the end
/// of the run for every pre-token: tokens_before finds nothing certain inside a run.
class RegexPreTokenizer final : public PreTokenizer {
  public:
    /// Errors: ValidationError with PCRE2's message and the place in the pattern.
    explicit RegexPreTokenizer(std::vector<std::string> const& patterns);
    ~RegexPreTokenizer() override;

    /// Errors: ValidationError if a pattern needs more steps or stack than PCRE2 allows.
    void split(std::string_view run, std::int64_t base, std::vector<PreToken>& out) const override;

  private:
    class Pattern;
    std::vector<std::unique_ptr<Pattern const>> patterns_;
};

}  // namespace longhaul::text
