#include "system/support/golden.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>

namespace longhaul::system_test {
namespace {

Golden::Prompt read_prompt(Json const& json, std::vector<std::int64_t> const& fixed_ids) {
    Golden::Prompt prompt;
    prompt.name = json.at("name");
    prompt.ids = json.at("prompt_ids").get<std::vector<std::int64_t>>();
    prompt.logprobs = json.at("prompt_logprobs").get<std::vector<double>>();
    for (Json const& entry : json.at("steps")) {
        Golden::Step& step = prompt.steps.emplace_back();
        step.id = entry.at("id");
        step.watched = entry.at("top").get<std::vector<std::pair<std::int64_t, double>>>();
        for (std::size_t i = 0; i < fixed_ids.size(); ++i) {
            step.watched.emplace_back(fixed_ids[i], entry.at("fixed").at(i).get<double>());
        }
    }
    return prompt;
}

double number(Json const& json) {
    return json.is_number() ? json.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

std::vector<std::int64_t> Golden::Prompt::ids_and_steps(std::size_t num_steps) const {
    std::vector<std::int64_t> result = ids;
    for (std::size_t i = 0; i < num_steps; ++i) {
        result.push_back(steps[i].id);
    }
    return result;
}

std::filesystem::path Golden::model_path() {
    return std::filesystem::path(LH_SOURCE_FOLDER) / "models/smollm2-135m/model.gguf";
}

Golden Golden::load(std::size_t max_tokens) {
    std::ifstream file(std::filesystem::path(LH_SOURCE_FOLDER) /
                       "tests/system/golden/smollm2-135m.json");
    Json const json = Json::parse(file);
    Golden golden;
    golden.sha256 = json.at("sha256");
    auto const fixed_ids = json.at("fixed_ids").get<std::vector<std::int64_t>>();
    for (Json const& prompt : json.at("prompts")) {
        if (prompt.at("prompt_ids").size() <= max_tokens) {
            golden.prompts.push_back(read_prompt(prompt, fixed_ids));
        }
    }
    Json const& bf16 = json.at("overall").at("bf16");
    golden.bf16_prompt = {bf16.at("prompt").at("mean"), bf16.at("prompt").at("p99")};
    golden.bf16_steps = {bf16.at("steps").at("mean"), bf16.at("steps").at("p99")};
    return golden;
}

// What is no number counts as the worst difference, so that no maximum can pass over it.
void Differences::add(double ours, double golden) {
    double const difference = std::abs(ours - golden);
    values_.push_back(std::isfinite(difference) ? difference
                                                : std::numeric_limits<double>::infinity());
}

double Differences::max() const {
    return values_.empty() ? 0.0 : *std::max_element(values_.begin(), values_.end());
}

Golden::Spread Differences::spread() const {
    if (values_.empty()) {
        return {};
    }
    std::vector<double> sorted = values_;
    std::sort(sorted.begin(), sorted.end());
    double sum = 0.0;
    for (double const value : sorted) {
        sum += value;
    }
    double const place = 0.99 * static_cast<double>(sorted.size() - 1);
    auto const below = static_cast<std::size_t>(place);
    std::size_t const above = std::min(below + 1, sorted.size() - 1);
    double const p99 =
        sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
    return {sum / static_cast<double>(sorted.size()), p99};
}

std::string Differences::text() const {
    Golden::Spread const s = spread();
    std::string text = fmt::format("{} numbers, mean {:.2e}, p99 {:.2e}, max {:.2e}", count(),
                                   s.mean, s.p99, max());
    return missing_ == 0 ? text : text + fmt::format(" ({} not in our lists)", missing_);
}

void Comparison::add_scores(Golden::Prompt const& golden, Json const& result) {
    ASSERT_EQ(result.value("status", ""), "ok") << result;
    Json const& ours = result.at("logprobs");
    ASSERT_EQ(ours.size(), golden.logprobs.size() + golden.steps.size());
    for (std::size_t i = 0; i < golden.logprobs.size(); ++i) {
        prompt.add(number(ours[i]), golden.logprobs[i]);
    }
    for (std::size_t i = 0; i < golden.steps.size(); ++i) {
        // The token that was fed is the best of its step.
        forced.add(number(ours[golden.logprobs.size() + i]), golden.steps[i].watched[0].second);
    }
}

void Comparison::add_generated(Golden::Prompt const& golden, Json const& result) {
    ASSERT_EQ(result.value("status", ""), "ok") << result;
    ASSERT_EQ(result.at("logprobs").size(), golden.steps.size());
    for (std::size_t i = 0; i < golden.steps.size(); ++i) {
        Json const& entry = result.at("logprobs")[i];
        EXPECT_EQ(entry.at("id"), result.at("token_ids")[i]);
        if (entry.at("id") != golden.steps[i].id) {
            ++wrong_tokens;
            ADD_FAILURE() << golden.name << ", step " << i << ": token " << entry.at("id")
                          << " instead of " << golden.steps[i].id;
            return;  // what follows another token is another text
        }
        chosen.add(number(entry.at("logprob")), golden.steps[i].watched[0].second);
        add_step(golden.steps[i], entry);
    }
}

void Comparison::add_step(Golden::Step const& golden, Json const& entry) {
    std::map<std::int64_t, double> ours;
    for (Json const& pair : entry.at("top")) {
        ours[pair.at(0).get<std::int64_t>()] = number(pair.at(1));
    }
    for (std::size_t i = 0; i < golden.watched.size(); ++i) {
        Differences& differences = i < Golden::kTop ? top : fixed;
        auto const place = ours.find(golden.watched[i].first);
        if (place == ours.end()) {
            differences.missing();
        } else {
            differences.add(place->second, golden.watched[i].second);
        }
    }
}

std::string Comparison::text() const {
    std::string text;
    auto const line = [&](char const* name, Differences const& differences) {
        if (differences.count() > 0) {
            text += fmt::format("  {:<7} {}\n", name, differences.text());
        }
    };
    line("prompt", prompt);
    line("forced", forced);
    line("chosen", chosen);
    line("top 16", top);
    line("fixed", fixed);
    return text;
}

}  // namespace longhaul::system_test
