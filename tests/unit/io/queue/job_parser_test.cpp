#include "io/job.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <random>

namespace longhaul::io {
namespace {

using testing::HasSubstr;

Job good(std::string_view line) {
    ParsedJob parsed = parse_job(line, 7, "/data");
    if (auto const* bad = std::get_if<BadJob>(&parsed)) {
        ADD_FAILURE() << line.substr(0, 200) << "\n"
                      << bad->error.code << ": " << bad->error.message;
        return {};
    }
    return std::get<Job>(parsed);
}

BadJob refused(std::string_view line) {
    ParsedJob parsed = parse_job(line, 7, "/data");
    if (std::holds_alternative<Job>(parsed)) {
        ADD_FAILURE() << "was taken as a job: " << line.substr(0, 200);
        return {};
    }
    return std::get<BadJob>(parsed);
}

TEST(JobParser, TakesEveryField) {
    Job const job = good(
        R"({"id": "a\u00e9", "kind": "document", "path": "books/../x.txt", "prompt": "Why?\n", "system": "",
        "max_tokens": 48, "temperature": 0.7, "seed": 18446744073709551615, "logprobs": 16, "ignore_eos": true})");
    EXPECT_EQ(job.id, "a\xc3\xa9");
    EXPECT_EQ(job.kind, JobKind::document);
    EXPECT_EQ(job.path, "/data/x.txt");
    EXPECT_EQ(job.prompt, "Why?\n");
    EXPECT_EQ(job.system, "");
    EXPECT_EQ(job.sampling, (SamplingOptions{48, 0.7, 18446744073709551615ULL, 16, true}));
}

TEST(JobParser, FillsInDefaultsAndTakesNullAsLeftOut) {
    Job const plain = good(R"({"kind":"text","id":"a","text":"x"})");
    EXPECT_EQ(plain.sampling, SamplingOptions{});
    EXPECT_EQ(plain.sampling.max_tokens, 512);
    Job const nulls = good(
        R"({"id":"a","kind":"text","text":"x","path":null,"token_ids":null,"prompt":null,"system":null,
        "max_tokens":null,"temperature":null,"seed":null,"logprobs":null,"ignore_eos":null})");
    EXPECT_EQ(plain, nulls);
}

TEST(JobParser, TakesTokenIdsAndScores) {
    Job const ids = good(R"({"id":"a","kind":"score","token_ids":[0, 1,2147483647]})");
    EXPECT_EQ(ids.kind, JobKind::score);
    EXPECT_EQ(ids.token_ids, (std::vector<TokenId>{0, 1, 2147483647}));
    EXPECT_EQ(good(R"({"id":"a","kind":"score","path":"/x"})").path, "/x");
}

TEST(JobParser, TakesVideoTokensWithAtMostOneMarker) {
    Job const plain = good(R"({"id":"a","kind":"video_tokens","path":"x.h5","max_tokens":4})");
    EXPECT_EQ(plain.kind, JobKind::video_tokens);
    EXPECT_EQ(plain.path, "/data/x.h5");
    EXPECT_FALSE(plain.prompt);
    EXPECT_EQ(plain.sampling.max_tokens, 4);
    Job const marked =
        good(R"({"id":"a","kind":"video_tokens","path":"x.h5","prompt":"In {video} who wins?"})");
    EXPECT_EQ(marked.prompt, "In {video} who wins?");
    // Elsewhere the marker is text.
    good(R"({"id":"a","kind":"text","text":"x","prompt":"{video}{video}"})");
}

TEST(JobParser, TextMayHoldAnyCharacter) {
    Job const job =
        good(R"({"id":"a","kind":"text","text":"nul \u0000 pair \ud83d\ude00 slash \/"})");
    EXPECT_EQ(job.text, std::string("nul \0 pair \xf0\x9f\x98\x80 slash /", 23));
}

struct Refusal {
    char const* line;
    char const* code;
    char const* message;
};

class JobParserRefusal : public testing::TestWithParam<Refusal> {};

TEST_P(JobParserRefusal, NamesTheFieldAndKeepsTheId) {
    BadJob const bad = refused(GetParam().line);
    EXPECT_EQ(bad.id, "a");
    EXPECT_TRUE(bad.own_id);
    EXPECT_EQ(bad.error.code, GetParam().code);
    EXPECT_THAT(bad.error.message, HasSubstr(GetParam().message));
    EXPECT_THAT(bad.error.message, HasSubstr("line 7"));
    EXPECT_EQ(bad.job_hash.size(), 32U);
}

INSTANTIATE_TEST_SUITE_P(
    Fields, JobParserRefusal,
    testing::Values(
        Refusal{R"({"id":"a","kind":"video","path":"x.mp4"})", "unknown_kind", "video"},
        Refusal{R"({"kind":"video_tokens","text":"x","id":"a"})", "bad_field", "HDF5"},
        Refusal{R"({"kind":"video_tokens","token_ids":[1],"id":"a"})", "bad_field", "HDF5"},
        Refusal{R"({"kind":"video_tokens","id":"a"})", "bad_field", "none"},
        Refusal{R"({"id":"a","kind":"video_tokens","path":"x.h5","prompt":"{video} {video}"})",
                "bad_field", "{video}"},
        Refusal{R"({"id":"a","kind":"text","text":"x","top_k":4})", "unsupported_field", "top_k"},
        Refusal{R"({"top_p":0.5,"id":"a","kind":"text","text":"x"})", "unsupported_field", "top_p"},
        Refusal{R"({"id":"a","kind":"text","text":"x","stop":["a",{"b":[1]}]})",
                "unsupported_field", "stop"},
        Refusal{R"({"stop":{"deep":[[[{}]]]},"id":"a","kind":"text","text":"x"})",
                "unsupported_field", "stop"},
        Refusal{R"({"id":"a","kind":"text","text":"x","deadline_s":4})", "unsupported_field",
                "deadline_s"},
        Refusal{R"({"id":"a","kind":"text","text":"x","maxtokens":4})", "unsupported_field",
                "maxtokens"},
        Refusal{R"({"id":"a","text":"x"})", "bad_field", "kind"},
        Refusal{R"({"id":"a","kind":4})", "bad_field", "kind"},
        Refusal{R"({"id":"a","kind":"text"})", "bad_field", "none"},
        Refusal{R"({"id":"a","kind":"text","text":"x","path":"y"})", "bad_field", "several"},
        Refusal{R"({"id":"a","kind":"text","text":"x","text":"y"})", "bad_field", "twice"},
        Refusal{R"({"id":"a","id":"b","kind":"text","text":"x"})", "bad_field", "twice"},
        Refusal{R"({"id":"a","kind":"text","text":["x"]})", "bad_field", "text"},
        Refusal{R"({"id":"a","kind":"text","text":""})", "empty", "text"},
        Refusal{R"({"id":"a","kind":"text","text":"x","prompt":""})", "empty", "prompt"},
        Refusal{R"({"id":"a","kind":"document","path":""})", "empty", "path"},
        Refusal{R"({"id":"a","kind":"document","path":"x\u0000y"})", "bad_field", "NUL"},
        Refusal{R"({"id":"a","kind":"text","token_ids":[]})", "empty", "token_ids"},
        Refusal{R"({"id":"a","kind":"text","token_ids":[1,-1]})", "bad_field", "entry 1"},
        Refusal{R"({"id":"a","kind":"text","token_ids":[1,2,2147483648]})", "bad_field", "entry 2"},
        Refusal{R"({"id":"a","kind":"text","token_ids":[1.0]})", "bad_field", "entry 0"},
        Refusal{R"({"id":"a","kind":"text","token_ids":[[1]]})", "bad_field", "entry 0"},
        Refusal{R"({"id":"a","kind":"text","token_ids":"1"})", "bad_field", "token_ids"},
        Refusal{R"({"id":"a","kind":"text","token_ids":[1],"prompt":"x"})", "bad_field", "prompt"},
        Refusal{R"({"id":"a","kind":"text","token_ids":[1],"system":"x"})", "bad_field",
                "system"}));

INSTANTIATE_TEST_SUITE_P(
    Sampling, JobParserRefusal,
    testing::Values(
        Refusal{R"({"id":"a","kind":"text","text":"x","max_tokens":0})", "bad_field", "max_tokens"},
        Refusal{R"({"id":"a","kind":"text","text":"x","max_tokens":2.0})", "bad_field",
                "max_tokens"},
        Refusal{R"({"id":"a","kind":"text","text":"x","max_tokens":"9"})", "bad_field",
                "max_tokens"},
        Refusal{R"({"id":"a","kind":"text","text":"x","max_tokens":1e400})", "bad_field",
                "max_tokens"},
        Refusal{R"({"id":"a","kind":"text","text":"x","temperature":-1})", "bad_field",
                "temperature"},
        Refusal{R"({"id":"a","kind":"text","text":"x","temperature":1e999})", "bad_field",
                "temperature"},
        Refusal{R"({"id":"a","kind":"text","text":"x","temperature":true})", "bad_field",
                "temperature"},
        Refusal{R"({"id":"a","kind":"text","text":"x","seed":-1})", "bad_field", "seed"},
        Refusal{R"({"id":"a","kind":"text","text":"x","seed":0.5})", "bad_field", "seed"},
        Refusal{R"({"id":"a","kind":"text","text":"x","seed":18446744073709551616})", "bad_field",
                "seed"},
        Refusal{R"({"id":"a","kind":"text","text":"x","logprobs":true})", "bad_field", "logprobs"},
        Refusal{R"({"id":"a","kind":"text","text":"x","logprobs":-1})", "bad_field", "logprobs"},
        Refusal{R"({"id":"a","kind":"text","text":"x","logprobs":99999})", "bad_field", "logprobs"},
        Refusal{R"({"id":"a","kind":"text","text":"x","ignore_eos":1})", "bad_field", "ignore_eos"},
        Refusal{R"({"id":"a","kind":"score","text":"x","max_tokens":4})", "bad_field",
                "max_tokens"}));

class JobParserGarbage : public testing::TestWithParam<std::string> {};

TEST_P(JobParserGarbage, IsNamedAfterItsLine) {
    BadJob const bad = refused(GetParam());
    EXPECT_EQ(bad.id, "line-7");
    EXPECT_FALSE(bad.own_id);
    EXPECT_THAT(bad.error.code, testing::AnyOf("bad_json", "invalid_utf8"));
    EXPECT_THAT(bad.error.message, HasSubstr("line 7"));
}

INSTANTIATE_TEST_SUITE_P(
    Lines, JobParserGarbage,
    testing::Values(
        "{", "}", "[]", "null", "7", "\"x\"", "garbage", "{\"id\":\"a\",\"kind\":\"te",
        R"({"id":"a","kind":"text","text":"x"} {})", R"({"id":"a","kind":"text","text":"x"}})",
        R"({"id":"a","kind":"text","text":"x"},)", R"({"id":"a","kind":"text","text":"x",})",
        R"({"id":"a" "kind":"text","text":"x"})", R"({"id":"a","kind":"text","text":"x")",
        R"({id:"a","kind":"text","text":"x"})", R"({"id":"a","kind":"text","text":"\ud800"})",
        R"({"id":"a","kind":"text","text":"\ud800\u0041"})",
        R"({"id":"a","kind":"text","text":"\udc00"})", R"({"id":"a","kind":"text","text":"\x41"})",
        R"({"id":"a","kind":"text","text":"tab	inside"})",
        R"({"id":"a","kind":"text","text":nul})",
        R"({"id":"a","kind":"text","text":"x)" + std::string(1, '\0') + R"("})",
        std::string(3, '\0'), "\xff\xfe{\"id\":\"a\"}",
        "{\"id\":\"a\",\"kind\":\"text\",\"text\":\"\xc3(\"}", std::string(200000, '['),
        std::string(200000, '{'), "{\"a\":" + std::string(100000, '[')));

TEST(JobParser, AnIdIsShortAndPrintable) {
    for (std::string const& id :
         {std::string(), std::string(513, 'x'), std::string("a\\nb"), std::string("\\u0000")}) {
        BadJob const bad = refused(fmt::format(R"({{"id":"{}","kind":"text","text":"x"}})", id));
        EXPECT_EQ(bad.id, "line-7");
        EXPECT_EQ(bad.error.code, "bad_field");
    }
    EXPECT_EQ(refused(R"({"kind":"text","text":"x"})").error.code, "bad_field");
    EXPECT_EQ(refused(R"({"id":17,"kind":"text","text":"x"})").id, "line-7");
    EXPECT_THAT(
        refused(
            R"({"custom_id":"a","method":"POST","url":"/v1/completions","body":{"prompt":"x"}})")
            .error.message,
        HasSubstr("OpenAI"));
}

TEST(JobParser, TakesLinesOfFortyMegabytes) {
    std::string const text(40 << 20, 'x');
    EXPECT_EQ(good(fmt::format(R"({{"id":"a","kind":"text","text":"{}"}})", text)).text->size(),
              text.size());
    std::string ids = "1";
    for (int i = 0; i < 1'000'000; ++i) ids += ",123456";
    EXPECT_EQ(
        good(fmt::format(R"({{"id":"a","kind":"text","token_ids":[{}]}})", ids)).token_ids->size(),
        1'000'001U);
    EXPECT_EQ(refused(fmt::format(R"({{"id":"a","kind":"text","text":"{})", text)).error.code,
              "bad_json");
}

// Whatever a line is turned into, it is a job of valid JSON or an error line; nothing is let through that a strict parser
// refuses.
TEST(JobParser, SurvivesMutations) {
    std::vector<std::string> const seeds = {
        R"({"id":"a","kind":"document","path":"b/c.txt","prompt":"Why\n\u00e9\ud83d\ude00?","system":"s","max_tokens":48})",
        R"({"id":"b","kind":"text","token_ids":[1,2,3,44],"temperature":0.7e0,"seed":123,"logprobs":5,"ignore_eos":true})",
        R"({"id":"c","kind":"score","text":"some text","stop":["x",{"y":[null,false]}]})"};
    std::string const alphabet = "{}[]\",:\\u0d8/-+.eE19ntf \t\r\x01\x7f\x80\xc3\xff";
    constexpr unsigned kSeed = 20240611;
    RecordProperty("seed", kSeed);
    std::mt19937 random(kSeed);
    auto const pick = [&](std::size_t count) {
        return std::uniform_int_distribution<std::size_t>(0, count - 1)(random);
    };
    int jobs = 0;
    for (int round = 0; round < 60000; ++round) {
        std::string line = seeds[pick(seeds.size())];
        for (std::size_t edits = 1 + pick(3); edits > 0 && !line.empty(); --edits) {
            std::size_t const place = pick(line.size());
            std::size_t const length = std::min(line.size() - place, 1 + pick(6));
            switch (pick(5)) {
                case 0:
                    line[place] = alphabet[pick(alphabet.size())];
                    break;
                case 1:
                    line.insert(place, 1, alphabet[pick(alphabet.size())]);
                    break;
                case 2:
                    line.erase(place, length);
                    break;
                case 3:
                    line.insert(place, line.substr(place, length));
                    break;
                default:
                    line.resize(place);
                    break;
            }
        }
        ParsedJob const parsed = parse_job(line, round, "/data");
        if (std::holds_alternative<Job>(parsed)) {
            ++jobs;
            ASSERT_TRUE(nlohmann::json::accept(line)) << line;
        } else {
            ASSERT_FALSE(std::get<BadJob>(parsed).error.message.empty());
        }
    }
    EXPECT_GT(jobs, 1000);
}

}  // namespace
}  // namespace longhaul::io
