#include "app/inspect_queue.hpp"

#include "base/error.hpp"
#include "support/video_tokens/write_video_tokens.hpp"
#include "unit/io/queue/scratch_folder.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <sstream>

namespace longhaul::app {
namespace {

using testing::HasSubstr;

constexpr char const* kMixedQueue = R"({"id":"a","kind":"document","path":"a.txt"}
{"id":"b","kind":"document","path":"missing.txt"}
{"id":"a","kind":"text","text":"1234"}

{"id":"c","kind":"score","token_ids":[1,2,3]}
{"id":"d","kind":"video","path":"x.mp4"}
torn {"id)";

TEST(InspectQueue, SaysWhatARunWouldRefuse) {
    io::ScratchFolder const folder;
    folder.write("a.txt", std::string(123456, 'x'));
    auto const queue = folder.write("q.jsonl", kMixedQueue);
    std::ostringstream out;
    EXPECT_EQ(inspect_queue(queue, out, true), 1);
    auto const json = nlohmann::json::parse(out.str());
    EXPECT_EQ(json.at("lines"), 6);
    EXPECT_EQ(json.at("kinds"),
              nlohmann::json::parse(
                  R"({"document":{"jobs":1,"bytes":123456},"score":{"jobs":1,"bytes":12}})"));
    EXPECT_EQ(json.at("biggest")[0].at("id"), "a");
    std::vector<std::string> problems;
    for (auto const& problem : json.at("problems")) {
        problems.push_back(std::to_string(problem.at("line").get<int>()) + " " +
                           problem.at("code").get<std::string>());
    }
    EXPECT_THAT(problems, testing::ElementsAre("2 unreadable", "3 duplicate_id", "6 unknown_kind",
                                               "7 bad_json"));

    std::ostringstream table;
    EXPECT_EQ(inspect_queue(queue, table, false), 1);
    EXPECT_THAT(table.str(), HasSubstr("6 jobs"));
    EXPECT_THAT(table.str(), HasSubstr("123 kB"));
    EXPECT_THAT(table.str(), HasSubstr("4 problems"));
}

TEST(InspectQueue, LooksIntoVideoTokens) {
    io::ScratchFolder const folder;
    test::VideoTokensSpec spec;
    spec.shape = {4, 8};
    spec.values = test::random_rows(1, 32);
    test::write_video_tokens(spec, folder / "good.h5");
    spec.element = test::VideoElement::f64;
    test::write_video_tokens(spec, folder / "bad.h5");
    auto const queue = folder.write("q.jsonl", R"({"id":"a","kind":"video_tokens","path":"good.h5"}
{"id":"b","kind":"video_tokens","path":"bad.h5","prompt":"{video}?"}
{"id":"c","kind":"video_tokens","path":"q.jsonl"})");
    std::ostringstream out;
    EXPECT_EQ(inspect_queue(queue, out, true), 1);
    auto const json = nlohmann::json::parse(out.str());
    EXPECT_EQ(json.at("kinds").at("video_tokens").at("jobs"), 1);
    EXPECT_EQ(json.at("kinds").at("video_tokens").at("bytes"),
              std::filesystem::file_size(folder / "good.h5"));
    ASSERT_EQ(json.at("problems").size(), 2U);
    EXPECT_EQ(json.at("problems")[0].at("code"), "bad_video_tokens");
    EXPECT_EQ(json.at("problems")[1].at("code"), "unreadable");
}

TEST(InspectQueue, IsContentWithAGoodQueue) {
    io::ScratchFolder const folder;
    std::string content;
    for (int i = 0; i < 8; ++i) {
        content += R"({"id":"j)" + std::to_string(i) + R"(","kind":"text","text":")" +
                   std::string(10U + i, 'x') + "\"}\n";
    }
    std::ostringstream out;
    EXPECT_EQ(inspect_queue(folder.write("q.jsonl", content), out, false), 0);
    EXPECT_THAT(out.str(), HasSubstr("nothing wrong"));
    EXPECT_THAT(out.str(), HasSubstr("j7"));
    EXPECT_THAT(out.str(), testing::Not(HasSubstr("j2")));
}

TEST(InspectQueue, AnEmptyQueueIsAProblemAndAMissingOneAnError) {
    io::ScratchFolder const folder;
    std::ostringstream out;
    EXPECT_EQ(inspect_queue(folder.write("q.jsonl", "\n"), out, false), 1);
    EXPECT_THAT(out.str(), HasSubstr("no jobs"));
    EXPECT_THROW(inspect_queue(folder / "missing", out, false), ValidationError);
}

}  // namespace
}  // namespace longhaul::app
