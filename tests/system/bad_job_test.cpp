// Jobs and queues that cannot be run: one error line each, and the others go on.
#include "system/support/program.hpp"

#include <sys/stat.h>

namespace longhaul::system_test {
namespace {

class BadJob : public ProgramTest {
  protected:
    // `bad` stands between two good jobs; they must not notice.
    void expect_error_line(Json const& bad, std::string const& code,
                           std::vector<std::string> const& parts) {
        write_queue({text_job("before"), bad, text_job("after")});
        EXPECT_TRUE(ended_with(1, run({})));
        Results const all = results();
        EXPECT_EQ(all.status("before"), "ok");
        EXPECT_EQ(all.status("after"), "ok");
        std::string const id = bad.value("id", "line-2");
        EXPECT_EQ(all.error_code(id), code) << all.error_message(id);
        for (std::string const& part : parts) {
            EXPECT_NE(all.error_message(id).find(part), std::string::npos)
                << "the message lacks '" << part << "': " << all.error_message(id);
        }
        EXPECT_EQ(all.lines.size(), 3U);
        EXPECT_EQ(read_json("state.json").value("state", ""), "complete");
    }

    [[nodiscard]] static Json document(std::string const& path) {
        return {{"id", "bad"}, {"kind", "document"}, {"path", path}, {"max_tokens", 4}};
    }
};

TEST_F(BadJob, DocumentMissing) {
    expect_error_line(document("nowhere.txt"), "unreadable", {"nowhere.txt", "No such file"});
}

TEST_F(BadJob, DocumentIsAFolder) {
    std::filesystem::create_directory(folder() / "texts");
    expect_error_line(document("texts"), "unreadable", {"texts", "folder"});
}

TEST_F(BadJob, DocumentIsAPipeWithoutAWriter) {
    ASSERT_EQ(::mkfifo((folder() / "pipe").c_str(), 0600), 0);
    expect_error_line(document("pipe"), "unreadable", {"pipe", "not a regular file"});
}

TEST_F(BadJob, DocumentEmpty) {
    write("empty.txt", "");
    expect_error_line(document("empty.txt"), "empty", {"empty.txt"});
}

TEST_F(BadJob, DocumentNotUtf8) {
    write("latin1.txt", "caf\xe9 au lait");
    expect_error_line(document("latin1.txt"), "invalid_utf8", {"latin1.txt", "byte 3", "iconv"});
}

TEST_F(BadJob, PromptEmpty) {
    Json job = text_job("bad");
    job["prompt"] = "";
    expect_error_line(job, "empty", {"prompt"});
}

TEST_F(BadJob, TextEmpty) { expect_error_line(text_job("bad", ""), "empty", {"text"}); }

TEST_F(BadJob, TokenIdsEmpty) {
    Json job = {{"id", "bad"}, {"kind", "text"}, {"token_ids", Json::array()}};
    expect_error_line(job, "empty", {"token_ids"});
}

TEST_F(BadJob, TokenIdsBeyondTheVocabulary) {
    Json job = {{"id", "bad"}, {"kind", "text"}, {"token_ids", {1, 270, 271}}, {"max_tokens", 2}};
    expect_error_line(job, "bad_field", {"271", "0 to 270"});
}

TEST_F(BadJob, KindUnknown) {
    Json job = text_job("bad");
    job["kind"] = "film";
    expect_error_line(job, "unknown_kind", {"film", "document", "score"});
}

TEST_F(BadJob, FieldUnsupported) {
    Json job = text_job("bad");
    job["best_of"] = 2;
    expect_error_line(job, "unsupported_field", {"best_of"});
}

TEST_F(BadJob, IdMissing) {
    Json job = text_job("bad");
    job.erase("id");
    expect_error_line(job, "bad_field", {"line 2", "id"});
}

TEST_F(BadJob, NoSource) {
    expect_error_line({{"id", "bad"}, {"kind", "text"}}, "bad_field", {"none"});
}

TEST_F(BadJob, TooLongForTheCache) {
    Json job = text_job("bad", std::string(3000, 'x'));
    write_queue({text_job("before"), job, text_job("after")});
    EXPECT_TRUE(ended_with(1, run({.options = {"--kv-memory", "1M"}})));
    EXPECT_EQ(results().error_code("bad"), "too_long");
    EXPECT_NE(results().error_message("bad").find("--kvp"), std::string::npos);
    EXPECT_EQ(results().status("after"), "ok");
}

// Too long for one rank's cache, and fine where two ranks share it.
TEST_F(BadJob, TooLongForOneRankFitsTwo) {
    write_queue({text_job("job", std::string(1500, 'x'))});
    Words const options{"--kv-memory", "1M", "--kv-policy", "striped"};
    EXPECT_TRUE(ended_with(1, run({.options = options})));
    EXPECT_EQ(results().error_code("job"), "too_long");
    Words more = options;
    more.insert(more.end(), {"--kvp", "2", "--retry-errors"});
    EXPECT_TRUE(ended_with(0, run({.options = more, .ranks = 2})));
    EXPECT_EQ(results().status("job"), "ok");
}

TEST_F(BadJob, EveryKindOfBadLineUnderMpirun) {
    write("latin1.txt", "caf\xe9 au lait");
    write("empty.txt", "");
    Json const good = text_job("good");
    Json unknown = text_job("unknown");
    unknown["kind"] = "film";
    Json missing = document("nowhere.txt");
    missing["id"] = "missing";
    Json empty = document("empty.txt");
    empty["id"] = "empty";
    Json latin1 = document("latin1.txt");
    latin1["id"] = "latin1";
    write_queue({unknown, missing, good, empty, latin1, text_job("last")});
    EXPECT_TRUE(ended_with(1, run({.options = {"--replicas", "2", "--spp", "2"}, .ranks = 4})));
    Results const all = results();
    EXPECT_EQ(all.error_code("unknown"), "unknown_kind");
    EXPECT_EQ(all.error_code("missing"), "unreadable");
    EXPECT_EQ(all.error_code("empty"), "empty");
    EXPECT_EQ(all.error_code("latin1"), "invalid_utf8");
    EXPECT_EQ(all.status("good"), "ok");
    EXPECT_EQ(all.status("last"), "ok");
    EXPECT_EQ(all.lines.size(), 6U);
}

class BadQueue : public ProgramTest {};

TEST_F(BadQueue, GarbageAndATornLastLine) {
    std::string const good = text_job("good").dump();
    write_queue_text("no json at all\n\n" + good + "\n\xff\xfe{}\n[1, 2]\n" +
                     text_job("last").dump() + "\n" + good.substr(0, good.size() / 2));
    EXPECT_TRUE(ended_with(1, run({})));
    Results const all = results();
    EXPECT_EQ(all.status("good"), "ok");
    EXPECT_EQ(all.status("last"), "ok");
    EXPECT_EQ(all.error_code("line-1"), "bad_json");
    EXPECT_EQ(all.error_code("line-4"), "invalid_utf8");
    EXPECT_EQ(all.error_code("line-5"), "bad_json");
    EXPECT_EQ(all.error_code("line-7"), "bad_json");
    EXPECT_EQ(all.lines.size(), 6U);
}

TEST_F(BadQueue, DuplicateIds) {
    write_queue({text_job("a"), text_job("b"), text_job("a", "another text")});
    EXPECT_TRUE(failed_with(2, run({}), {"queue.jsonl", "\"a\"", "line 1", "line 3"}));
    EXPECT_TRUE(results().lines.empty());
}

TEST_F(BadQueue, DuplicateIdsUnderMpirun) {
    write_queue({text_job("a"), text_job("a")});
    EXPECT_TRUE(failed_with(2, run({.ranks = 2}), {"queue.jsonl", "\"a\""}));
}

TEST_F(BadQueue, Missing) {
    EXPECT_TRUE(failed_with(2, run({.ranks = 2}), {"queue.jsonl", "No such file"}));
    EXPECT_FALSE(std::filesystem::exists(output / "results.jsonl"));
}

TEST_F(BadQueue, IsAFolder) {
    queue = folder() / "jobs";
    std::filesystem::create_directory(queue);
    EXPECT_TRUE(failed_with(2, run({}), {"jobs", "folder"}));
}

TEST_F(BadQueue, Empty) {
    write_queue_text("\n\n");
    EXPECT_TRUE(failed_with(2, run({}), {"queue.jsonl", "no jobs"}));
}

TEST_F(BadQueue, GzipCutShort) {
    std::vector<Json> const jobs = long_jobs(300, 2);
    write_queue(jobs);
    auto const gzip = start_command({"gzip", "-k", queue.string()})->wait(30);
    ASSERT_EQ(gzip.exit_code, 0);
    queue += ".gz";
    std::string const bytes = read(queue);
    write("queue.jsonl.gz", bytes.substr(0, bytes.size() / 2));
    EXPECT_TRUE(failed_with(2, run({}), {"queue.jsonl.gz", "cut short"}));
}

}  // namespace
}  // namespace longhaul::system_test
