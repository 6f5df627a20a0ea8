#include "support/engine/engine_results.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <utility>

namespace longhaul::test {
namespace {

using Json = nlohmann::json;

// The engine writes null for a number that is not finite.
float number(Json const& value) {
    return value.is_null() ? std::numeric_limits<float>::quiet_NaN() : value.get<float>();
}

io::TokenLogprob token_logprob(Json const& entry) {
    io::TokenLogprob token;
    token.id = entry.at("id").get<TokenId>();
    token.logprob = number(entry.at("logprob"));
    for (Json const& pair : entry.at("top")) {
        token.top.emplace_back(pair.at(0).get<TokenId>(), number(pair.at(1)));
    }
    return token;
}

void check_sums(Json const& line, std::vector<float> const& scores) {
    double sum = 0.0;
    for (float const score : scores) {
        sum -= static_cast<double>(score);
    }
    double const mean = scores.empty() ? 0.0 : sum / static_cast<double>(scores.size());
    double const nll = line.at("mean_nll").get<double>();
    double const perplexity = line.at("perplexity").get<double>();
    if (std::abs(nll - mean) > 1e-9 * std::max(1.0, mean) ||
        std::abs(perplexity - std::exp(mean)) > 1e-9 * std::exp(mean)) {
        throw std::runtime_error("mean_nll or perplexity do not belong to the log-probabilities");
    }
}

EngineResult parse_line(Json const& line) {
    EngineResult result;
    result.ok = line.at("status") == "ok";
    result.prompt_tokens = line.value("prompt_tokens", std::int64_t{0});
    if (!result.ok) {
        result.error_code = line.at("error").at("code").get<std::string>();
        return result;
    }
    if (line.contains("mean_nll")) {
        for (Json const& value : line.at("logprobs")) {
            result.scores.push_back(number(value));
        }
        check_sums(line, result.scores);
        return result;
    }
    result.text = line.at("text").get<std::string>();
    result.finish_reason = line.at("finish_reason").get<std::string>();
    result.tokens = line.at("token_ids").get<std::vector<TokenId>>();
    if (line.contains("logprobs")) {
        for (Json const& entry : line.at("logprobs")) {
            result.logprobs.push_back(token_logprob(entry));
        }
    }
    return result;
}

}  // namespace

EngineResults parse_results(std::filesystem::path const& file) {
    EngineResults results;
    std::ifstream stream(file);
    for (std::string text; std::getline(stream, text);) {
        Json const line = Json::parse(text);
        auto id = line.at("id").get<std::string>();
        if (!results.emplace(id, parse_line(line)).second) {
            throw std::runtime_error("two results with id " + id);
        }
    }
    return results;
}

}  // namespace longhaul::test
