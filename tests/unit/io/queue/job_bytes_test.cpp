#include "base/error.hpp"
#include "io/job.hpp"
#include "io/job_hash.hpp"

#include <gtest/gtest.h>

#include <random>

namespace longhaul::io {
namespace {

Job full_job() {
    Job job;
    job.id = std::string("a");
    job.kind = JobKind::text;
    job.path = "/data/x.txt";
    job.text = std::string("te\0xt", 5);
    job.token_ids = {1, 2, 3};
    job.prompt = std::string("p");
    job.system = std::string();
    job.sampling = {7, 0.25, 99, 0, true};
    return job;
}

TEST(JobBytes, ComeBackAsTheSameJob) {
    EXPECT_EQ(deserialize_job(serialize_job(Job{})), Job{});
    EXPECT_EQ(deserialize_job(serialize_job(full_job())), full_job());
    Job large;
    large.token_ids = std::vector<TokenId>(3'000'001, 77);
    EXPECT_EQ(deserialize_job(serialize_job(large)), large);
}

TEST(JobBytes, RefuseWhatIsCutOrTooLong) {
    std::string const bytes = serialize_job(full_job());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        EXPECT_THROW(std::ignore = deserialize_job(std::string_view(bytes).substr(0, size)),
                     ValidationError)
            << size;
    }
    EXPECT_THROW(std::ignore = deserialize_job(bytes + "x"), ValidationError);
}

TEST(JobHash, DependsOnEveryFieldThatBearsOnTheResult) {
    Job const job = full_job();
    std::vector<std::string> hashes = {job_hash(job, "document"), job_hash(job, "documents"),
                                       job_hash(job, "")};
    auto const changed = [&](auto change) {
        Job other = job;
        change(other);
        hashes.push_back(job_hash(other, "document"));
    };
    changed([](Job& j) { j.id = std::string("b"); });
    changed([](Job& j) { j.kind = JobKind::score; });
    changed([](Job& j) { j.token_ids->push_back(4); });
    changed([](Job& j) { j.token_ids.reset(); });
    changed([](Job& j) { j.prompt = std::string("q"); });
    changed([](Job& j) { j.prompt.reset(); });
    changed([](Job& j) { j.system.reset(); });
    changed([](Job& j) { j.sampling.max_tokens = 8; });
    changed([](Job& j) { j.sampling.temperature = 0.5; });
    changed([](Job& j) { j.sampling.seed = 1; });
    changed([](Job& j) { j.sampling.logprobs = 1; });
    changed([](Job& j) { j.sampling.logprobs.reset(); });
    changed([](Job& j) { j.sampling.ignore_eos = false; });
    std::sort(hashes.begin(), hashes.end());
    EXPECT_EQ(std::unique(hashes.begin(), hashes.end()), hashes.end());
    EXPECT_EQ(hashes.front().size(), 32U);
}

TEST(JobHash, IgnoresOrderSpellingAndPlace) {
    auto const hash_of = [](char const* line, char const* folder) {
        return job_hash(std::get<Job>(parse_job(line, 1, folder)), "the document");
    };
    std::string const hash =
        hash_of(R"({"id":"a","kind":"document","path":"x.txt","prompt":"é"})", "/one");
    EXPECT_EQ(hash, hash_of(R"({"prompt":"\u00e9", "path":"sub/y.txt","kind":"document","id":"a"})",
                            "/two"));
    EXPECT_EQ(hash, hash_of(R"({"id":"a","kind":"document","text":"the document","prompt":"é"})",
                            "/two"));
    EXPECT_EQ(
        hash,
        hash_of(R"({"id":"a","kind":"document","path":"x","prompt":"é","max_tokens":512,"seed":0})",
                "/"));
    EXPECT_EQ(hash_of(R"({"id":"a","kind":"text","text":"x","temperature":0})", "/"),
              hash_of(R"({"id":"a","kind":"text","text":"x","temperature":-0.0})", "/"));
    EXPECT_EQ(hash,
              hash_of(R"({"id":"a","kind":"document","path":"x.txt","prompt":"é","system":null})",
                      "/one"));
}

}  // namespace
}  // namespace longhaul::io
