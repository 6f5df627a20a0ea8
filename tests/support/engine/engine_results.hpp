#pragma once

#include "base/types.hpp"
#include "io/result.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace longhaul::test {

/// What one line of results.jsonl says, without the timings. Numbers read back exactly.
struct EngineResult {
    bool ok = false;
    std::string error_code;
    std::string text;
    std::string finish_reason;
    std::int64_t prompt_tokens = 0;
    std::vector<TokenId> tokens;
    std::vector<io::TokenLogprob> logprobs;  ///< one per generated token, where asked for
    std::vector<float> scores;               ///< of kind score

    friend bool operator==(EngineResult const&, EngineResult const&) = default;
};

using EngineResults = std::map<std::string, EngineResult>;

/// Errors  throws std::runtime_error when a line is no result or an id stands twice
[[nodiscard]] EngineResults parse_results(std::filesystem::path const& file);

}  // namespace longhaul::test
