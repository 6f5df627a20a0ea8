#include "support/engine/job_lines.hpp"

#include "support/models/tiny_model.hpp"
#include "support/models/tiny_tokenizer.hpp"

#include <nlohmann/json.hpp>

#include <random>
#include <utility>

namespace longhaul::test {

std::string JobLine::to_json() const {
    nlohmann::ordered_json line{{"id", id}, {"kind", kind}};
    if (!path.empty()) {
        line["path"] = path;
    } else if (tokens.empty()) {
        line["text"] = text;
    } else {
        line["token_ids"] = tokens;
    }
    if (!prompt.empty()) {
        line["prompt"] = prompt;
    }
    if (max_tokens > 0) {
        line["max_tokens"] = max_tokens;
        line["temperature"] = temperature;
        line["seed"] = seed;
        line["ignore_eos"] = ignore_eos;
    }
    if (logprobs) {
        line["logprobs"] = *logprobs;
    }
    return line.dump();
}

std::string queue_text(std::vector<JobLine> const& jobs) {
    std::string text;
    for (JobLine const& job : jobs) {
        text += job.to_json() + '\n';
    }
    return text;
}

std::vector<TokenId> random_tokens(std::uint64_t seed, std::int64_t count) {
    std::mt19937_64 random(seed);
    auto const ordinary =
        static_cast<std::uint64_t>(TinyModelSpec{}.vocab_size) - std::uint64_t{kFirstByte};
    std::vector<TokenId> tokens;
    for (std::int64_t i = 0; i < count; ++i) {
        tokens.push_back(kFirstByte + static_cast<TokenId>(random() % ordinary));
    }
    return tokens;
}

std::string random_text(std::uint64_t seed, std::int64_t words) {
    std::mt19937_64 random(seed);
    std::string text;
    for (std::int64_t word = 0; word < words; ++word) {
        for (std::uint64_t letters = 2 + random() % 4; letters > 0; --letters) {
            text += static_cast<char>('a' + static_cast<char>(random() % 26));
        }
        text += word % 11 == 10 ? ".\n" : " ";
    }
    return text;
}

JobLine generate_job(std::string id, std::vector<TokenId> tokens, std::int64_t max_tokens,
                     std::int32_t logprobs) {
    JobLine job;
    job.id = std::move(id);
    job.tokens = std::move(tokens);
    job.max_tokens = max_tokens;
    job.logprobs = logprobs;
    return job;
}

JobLine score_job(std::string id, std::vector<TokenId> tokens) {
    JobLine job;
    job.id = std::move(id);
    job.kind = "score";
    job.tokens = std::move(tokens);
    return job;
}

JobLine question_job(std::string id, std::string text, std::string prompt, std::int64_t max_tokens,
                     std::int32_t logprobs) {
    JobLine job;
    job.id = std::move(id);
    job.text = std::move(text);
    job.prompt = std::move(prompt);
    job.max_tokens = max_tokens;
    job.logprobs = logprobs;
    return job;
}

JobLine sampled(JobLine job, double temperature, std::uint64_t seed) {
    job.temperature = temperature;
    job.seed = seed;
    job.logprobs = static_cast<std::int32_t>(TinyModelSpec{}.vocab_size);
    return job;
}

}  // namespace longhaul::test
