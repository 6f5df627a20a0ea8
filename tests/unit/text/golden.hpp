#pragma once

#include "base/types.hpp"

#include <nlohmann/json.hpp>

#include <fstream>
#include <string>
#include <vector>

namespace longhaul::text {

struct Golden {
    std::string text;
    std::vector<TokenId> ids;
};

/// Entries of one pre-tokeniser in a file of make_golden.py.
inline std::vector<Golden> read_golden(std::string const& path, std::string const& pre_tokenizer) {
    std::ifstream file(path);
    nlohmann::json const root = nlohmann::json::parse(file);
    std::vector<Golden> result;
    for (auto const& entry : root.at(pre_tokenizer)) {
        result.push_back(
            {entry.at("text").get<std::string>(), entry.at("ids").get<std::vector<TokenId>>()});
    }
    return result;
}

}  // namespace longhaul::text
