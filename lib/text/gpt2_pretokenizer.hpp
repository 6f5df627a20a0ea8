#pragma once

#include "text/pretokenizer.hpp"

namespace longhaul::text {

enum class Digits {
    grouped,  ///< GPT-2
    apart,  ///< SmolLM: each \p{N} is cut out first, then GPT-2's pattern runs on what lies between
};

/// Hand-written matcher of the GPT-2 pattern
///   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
/// One pass, no backtracking: linear for every input.
class Gpt2PreTokenizer final : public PreTokenizer {
  public:
    explicit Gpt2PreTokenizer(Digits digits) : digits_(digits) {}
    void split(std::string_view run, std::int64_t base, std::vector<PreToken>& out) const override;

  private:
    Digits digits_;
};

}  // namespace longhaul::text
