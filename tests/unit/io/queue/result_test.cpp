#include "io/result.hpp"

#include "base/error.hpp"
#include "io/output_dir_index.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>
#include <random>

namespace longhaul::io {
namespace {

JobResult generated() {
    JobResult result;
    result.id = "a\"\n";
    result.job_hash = "0123";
    result.text = "A \xe2\x82\xac\tand \"quotes\" \\";
    result.token_ids = {5, 6, 7};
    result.prompt_tokens = 1'100'000'000'000;
    result.completion_tokens = 3;
    result.finish_reason = FinishReason::length;
    result.ttft_s = 1.25;
    result.tbt_s = {0.1F, 0.3F, 0.2F};
    result.prefill = PrefillInfo{"chunked", 512, 1000, 128, 0.75, 0.125};
    result.grid = GridInfo{2, 3, 4, 5};
    result.logprobs = {
        {5, -0.1F, {{5, -0.1F}, {9, -2.5F}}}, {6, -1e-7F, {}}, {7, -3.4028235e38F, {}}};
    return result;
}

JobResult scored() {
    JobResult result;
    result.id = std::string("s");
    result.job_hash = "4567";
    result.prompt_tokens = 3;
    result.score = ScoreResult{{-0.5F, -1.5F}, 1.0, std::exp(1.0)};
    return result;
}

TEST(Result, WritesEveryFieldOfAGeneration) {
    auto const json = nlohmann::json::parse(to_json_line(generated()));
    auto const expected =
        nlohmann::json::parse(R"({"id":"a\"\n","status":"ok","text":"A €\tand \"quotes\" \\",
        "token_ids":[5,6,7],"prompt_tokens":1100000000000,"completion_tokens":3,"finish_reason":"length","ttft_s":1.25,
        "tbt_s":{"p50":0.2,"p99":0.3,"max":0.3},"grid":{"replicas":2,"spp":3,"kvp":4,"tp":5},"job_hash":"0123",
        "prefill":{"strategy":"chunked","chunk":512,"tokens":1000,"shared_tokens":128,"seconds":0.75,"prepare_s":0.125},
        "logprobs":[{"id":5,"logprob":-0.1,"top":[[5,-0.1],[9,-2.5]]},{"id":6,"logprob":-1e-7,"top":[]},
                    {"id":7,"logprob":-3.4028235e38,"top":[]}]})");
    EXPECT_EQ(json, expected) << json.dump();
}

TEST(Result, OfOneTokenHasNoTimeBetweenTokens) {
    JobResult result = generated();
    result.tbt_s.clear();
    result.logprobs.reset();
    auto const json = nlohmann::json::parse(to_json_line(result));
    EXPECT_TRUE(json.at("tbt_s").is_null());
    EXPECT_FALSE(json.contains("logprobs"));
}

TEST(Result, WritesScores) {
    auto const json = nlohmann::json::parse(to_json_line(scored()));
    EXPECT_EQ(json.at("status"), "ok");
    EXPECT_EQ(json.at("logprobs"), nlohmann::json({-0.5, -1.5}));
    EXPECT_EQ(json.at("mean_nll"), 1.0);
    EXPECT_EQ(json.at("perplexity"), std::exp(1.0));
    EXPECT_FALSE(json.contains("text"));
    EXPECT_FALSE(json.contains("finish_reason"));
}

TEST(Result, WritesErrors) {
    auto const json = nlohmann::json::parse(
        to_json_line(failed_result("x", "89ab", {"empty", "the document is empty"})));
    auto const expected = nlohmann::json::parse(
        R"({"id":"x","status":"error","error":{"code":"empty","message":"the document is empty"},"job_hash":"89ab"})");
    EXPECT_EQ(json, expected);
}

TEST(Result, FloatsComeBackExactly) {
    constexpr unsigned kSeed = 11;
    RecordProperty("seed", kSeed);
    std::mt19937 random(kSeed);
    JobResult result = scored();
    result.score->logprobs = {0.0F, -0.0F, std::numeric_limits<float>::denorm_min(),
                              std::numeric_limits<float>::max()};
    while (result.score->logprobs.size() < 20000) {
        auto const value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
        if (std::isfinite(value)) result.score->logprobs.push_back(value);
    }
    auto const json = nlohmann::json::parse(to_json_line(result));
    for (std::size_t i = 0; i < result.score->logprobs.size(); ++i) {
        ASSERT_EQ(json.at("logprobs")[i].get<float>(), result.score->logprobs[i]) << i;
    }
}

TEST(Result, LinesAreValidWhateverTheyHold) {
    JobResult result = generated();
    result.text = std::string("cut \xe2\x82 nul \0 \x01 \x7f \xff", 17);
    result.id = std::string("\xff");
    result.ttft_s = std::numeric_limits<double>::quiet_NaN();
    result.logprobs->front().logprob = -std::numeric_limits<float>::infinity();
    std::string const line = to_json_line(result);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    auto const json = nlohmann::json::parse(line);
    EXPECT_TRUE(json.at("ttft_s").is_null());
    EXPECT_TRUE(json.at("logprobs")[0].at("logprob").is_null());
    EXPECT_EQ(json.at("text").get<std::string>().substr(0, 4), "cut ");
}

TEST(Result, HeadIsReadBackFromTheLine) {
    auto const good = read_result_head(to_json_line(generated()));
    ASSERT_TRUE(good);
    EXPECT_EQ(good->id, "a\"\n");
    EXPECT_EQ(good->known, (KnownResult{"0123", true}));
    EXPECT_FALSE(read_result_head(to_json_line(failed_result("x", "h", {"empty", "m"})))->known.ok);
    EXPECT_FALSE(read_result_head(R"({"id":"x","status":"ok"})"));
    EXPECT_FALSE(read_result_head(R"({"id":"x","status":"fine","job_hash":""})"));
    EXPECT_FALSE(read_result_head(R"([1])"));
    EXPECT_FALSE(read_result_head(""));
}

TEST(ResultBytes, ComeBackAsTheSameResult) {
    for (JobResult const& result :
         {JobResult{}, generated(), scored(), failed_result("x", "h", {"c", "m"})}) {
        std::string const bytes = serialize_result(result);
        EXPECT_EQ(deserialize_result(bytes), result);
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            ASSERT_THROW(std::ignore = deserialize_result(std::string_view(bytes).substr(0, size)),
                         ValidationError)
                << size;
        }
    }
}

TEST(Result, PercentilesAreOfTheNearestRank) {
    EXPECT_EQ(percentile({}, 50), 0);
    EXPECT_EQ(percentile({7}, 0), 7);
    std::vector<float> samples;
    for (int i = 200; i > 0; --i) samples.push_back(static_cast<float>(i));
    EXPECT_EQ(percentile(samples, 50), 100);
    EXPECT_EQ(percentile(samples, 99), 198);
    EXPECT_EQ(percentile(samples, 100), 200);
    EXPECT_EQ(summarise_tbt({3, 1, 2}), (TbtSummary{2, 3, 3}));
}

}  // namespace
}  // namespace longhaul::io
