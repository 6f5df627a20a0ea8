// What a second start of the same command does, and what the output folder says.
#include "system/support/program.hpp"

namespace longhaul::system_test {
namespace {

class Restart : public ProgramTest {
  protected:
    [[nodiscard]] Json last_jobs() const { return read_json("run.json").at("jobs"); }

    [[nodiscard]] std::string results_text() const { return read(output / "results.jsonl"); }
};

TEST_F(Restart, FinishedQueueIsSkipped) {
    write("story.txt", "a short story about a long haul");
    write_queue({text_job("a"),
                 {{"id", "b"}, {"kind", "document"}, {"path", "story.txt"}, {"prompt", "Why?"}},
                 {{"id", "c"}, {"kind", "score"}, {"path", "story.txt"}}});
    ASSERT_TRUE(ended_with(0, run({.options = {"--kvp", "2"}, .ranks = 2})));
    EXPECT_EQ(last_jobs(), (Json{{"ok", 3}, {"failed", 0}, {"skipped", 0}}));
    std::string const before = results_text();
    // On another grid as well: a result does not depend on it.
    EXPECT_TRUE(ended_with(0, run({})));
    EXPECT_EQ(last_jobs(), (Json{{"ok", 0}, {"failed", 0}, {"skipped", 3}}));
    EXPECT_EQ(results_text(), before);
    EXPECT_EQ(read_json("state.json").value("state", ""), "complete");
}

TEST_F(Restart, ChangedJobsRunAgain) {
    write("story.txt", "a short story");
    Json document{{"id", "doc"}, {"kind", "document"}, {"path", "story.txt"}, {"max_tokens", 4}};
    document["prompt"] = "Why?";
    write_queue({text_job("same"), document, text_job("limit", "words", 2)});
    ASSERT_TRUE(ended_with(0, run({})));
    Results const first = results();

    write("story.txt", "a shorter story");
    ASSERT_TRUE(ended_with(0, run({})));
    Results const second = results();
    EXPECT_EQ(last_jobs(), (Json{{"ok", 1}, {"failed", 0}, {"skipped", 2}}));
    EXPECT_NE(second.by_id.at("doc").at("job_hash"), first.by_id.at("doc").at("job_hash"));
    EXPECT_EQ(second.by_id.at("same"), first.by_id.at("same"));
    EXPECT_EQ(second.lines.size(), 3U) << "a complete run leaves one line per id";

    document["prompt"] = "Who?";
    write_queue({text_job("same"), document, text_job("limit", "words", 3)});
    ASSERT_TRUE(ended_with(0, run({})));
    EXPECT_EQ(last_jobs(), (Json{{"ok", 2}, {"failed", 0}, {"skipped", 1}}));
    EXPECT_EQ(results().by_id.at("limit").at("token_ids").size(), 3U);
    EXPECT_EQ(results().lines.size(), 3U);
}

TEST_F(Restart, NewJobsAreAddedAndOldOnesKept) {
    write_queue({text_job("a"), text_job("b")});
    ASSERT_TRUE(ended_with(0, run({})));
    write_queue({text_job("b"), text_job("c")});
    ASSERT_TRUE(ended_with(0, run({})));
    EXPECT_EQ(last_jobs(), (Json{{"ok", 1}, {"failed", 0}, {"skipped", 1}}));
    EXPECT_EQ(results().by_id.size(), 3U);
}

TEST_F(Restart, FailedJobsAreRetriedWhenAsked) {
    Json const job{{"id", "late"}, {"kind", "document"}, {"path", "late.txt"}, {"max_tokens", 2}};
    write_queue({text_job("a"), job, {{"id", "bad"}, {"kind", "film"}}});
    EXPECT_TRUE(ended_with(1, run({})));
    EXPECT_EQ(results().error_code("late"), "unreadable");
    EXPECT_EQ(last_jobs(), (Json{{"ok", 1}, {"failed", 2}, {"skipped", 0}}));
    std::string const before = results_text();

    // Unasked they stay as they are, and still count as failed.
    EXPECT_TRUE(ended_with(1, run({})));
    EXPECT_EQ(results_text(), before);
    EXPECT_EQ(last_jobs(), (Json{{"ok", 0}, {"failed", 2}, {"skipped", 1}}));

    EXPECT_TRUE(ended_with(1, run({.options = {"--retry-errors"}})));
    EXPECT_EQ(last_jobs(), (Json{{"ok", 0}, {"failed", 2}, {"skipped", 1}}));
    EXPECT_EQ(results().lines.size(), 3U);

    write("late.txt", "here it is");  // another content is another job: no need to ask
    EXPECT_TRUE(ended_with(1, run({})));
    EXPECT_EQ(results().status("late"), "ok");
    EXPECT_EQ(results().error_code("bad"), "unknown_kind");
    EXPECT_EQ(results().lines.size(), 3U);
}

TEST_F(Restart, TornLastLineIsDoneAgain) {
    write_queue(long_jobs(4, 6));
    ASSERT_TRUE(ended_with(0, run({})));
    Results const before = results();
    std::string const text = results_text();
    std::string const last_id = before.lines.back().at("id");
    for (std::size_t const torn :
         {std::size_t{1}, std::size_t{20}}) {  // the line feed alone, and more
        SCOPED_TRACE(torn);
        write("out/results.jsonl", text.substr(0, text.size() - torn));
        ProcessResult const result = run({});
        EXPECT_TRUE(ended_with(0, result));
        EXPECT_NE(result.err.find("torn last line"), std::string::npos) << result.err;
        EXPECT_EQ(last_jobs(), (Json{{"ok", 1}, {"failed", 0}, {"skipped", 3}}));
        EXPECT_EQ(results().lines.size(), 4U);
        EXPECT_EQ(results().by_id.at(last_id).at("token_ids"),
                  before.by_id.at(last_id).at("token_ids"));
    }
}

TEST_F(Restart, LaterLineOfAnIdCounts) {
    write_queue({text_job("a"), text_job("b")});
    ASSERT_TRUE(ended_with(0, run({})));
    std::string const text = results_text();
    write("out/results.jsonl", text + text);
    ASSERT_TRUE(ended_with(0, run({})));
    EXPECT_EQ(last_jobs().at("skipped"), 2);
    EXPECT_EQ(results().lines.size(), 2U);
}

TEST_F(Restart, StateAndRunRecord) {
    write_queue({text_job("a", "some words to read", 4), text_job("b", "", 4)});
    Words const options{"--replicas", "1", "--spp", "2", "--chunk", "16", "--dtype", "f32"};
    ASSERT_TRUE(ended_with(1, run({.options = options, .ranks = 2})));
    Json const state = read_json("state.json");
    EXPECT_EQ(state.value("state", ""), "complete");
    EXPECT_EQ(state.value("reason", ""), "1 jobs failed");
    EXPECT_FALSE(state.value("time", "").empty());
    EXPECT_FALSE(state.value("host", "").empty());

    Json const record = read_json("run.json");
    EXPECT_FALSE(record.value("longhaul", "").empty());
    EXPECT_EQ(record.at("exit_code"), 1);
    for (char const* const name : {"longhaul", "compiler", "mpi", "onednn"}) {
        EXPECT_FALSE(record.at("versions").value(name, "").empty()) << name;
    }
    EXPECT_EQ(record.at("started").get<std::string>().size(),
              std::string("2026-01-01T00:00:00Z").size());
    EXPECT_LE(record.at("started"), record.at("ended"));
    EXPECT_EQ(record.at("ended").get<std::string>().substr(0, 13),
              state.value("time", "").substr(0, 13));
    ASSERT_EQ(record.at("memory").at("ranks").size(), 2U);
    EXPECT_GT(record.at("memory").at("ranks")[1].at("weights_bytes"), 0);
    EXPECT_GT(record.at("memory").at("ranks")[1].at("kv_bytes"), 0);
    EXPECT_EQ(record.at("grid"), (Json{{"replicas", 1}, {"spp", 2}, {"kvp", 1}, {"tp", 1}}));
    EXPECT_EQ(record.at("model").at("format"), "GGUF");
    EXPECT_EQ(record.at("jobs"), (Json{{"ok", 1}, {"failed", 1}, {"skipped", 0}}));
    EXPECT_EQ(record.at("tokens").at("generated"), results().by_id.at("a").at("token_ids").size());
    EXPECT_EQ(record.at("tokens").at("prompt"), results().by_id.at("a").at("prompt_tokens"));
    EXPECT_GT(record.at("timings_s").at("wall").get<double>(), 0.0);
    EXPECT_NE(record.at("options").get<std::string>().find("dtype=f32"), std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(output / "results.jsonl.tmp"));
}

TEST_F(Restart, CompressedQueue) {
    write_queue(long_jobs(5, 3));
    ASSERT_EQ(start_command({"gzip", queue.string()})->wait(30).exit_code, 0);
    queue += ".gz";
    EXPECT_TRUE(ended_with(0, run({.ranks = 2})));
    EXPECT_EQ(results().by_id.size(), 5U);
}

class QueueFromStandardInput : public Restart, public ::testing::WithParamInterface<int> {};

TEST_P(QueueFromStandardInput, IsRunAndRestarted) {
    queue = "-";
    std::string text;
    for (Json const& job : long_jobs(5, 3)) {
        text += job.dump() + "\n";
    }
    EXPECT_TRUE(ended_with(0, run({.ranks = GetParam(), .input = text})));
    EXPECT_EQ(results().by_id.size(), 5U);
    text += text_job("one more").dump() + "\n" + text_job("job-0").dump() + "\n";
    EXPECT_TRUE(ended_with(1, run({.ranks = GetParam(), .input = text})));
    EXPECT_EQ(last_jobs(), (Json{{"ok", 1}, {"failed", 1}, {"skipped", 5}}));
    // The id of a stream's duplicate is taken: the first result must not be hidden by the error.
    EXPECT_EQ(results().status("job-0"), "ok");
    EXPECT_EQ(results().error_code("line-7"), "duplicate_id");
}

INSTANTIATE_TEST_SUITE_P(AloneAndUnderMpirun, QueueFromStandardInput, ::testing::Values(0, 2));

// A pipe whose writer takes its time.
TEST_F(Restart, QueueFromASlowPipe) {
    queue = "-";
    ASSERT_TRUE(ended_with(2, run({.options = {"--chunk", "0"}})));  // only makes the model
    Words command{"bash", "-c",
                  "(echo '" + text_job("first").dump() + "'; sleep 0.7; echo '" +
                      text_job("second").dump() + "') | \"$@\"",
                  "bash", longhaul_program()};
    Words const arguments = run_arguments({});
    command.insert(command.end(), arguments.begin(), arguments.end());
    EXPECT_TRUE(ended_with(0, start_command(command)->wait(patient(30))));
    EXPECT_EQ(results().by_id.size(), 2U);
}

}  // namespace
}  // namespace longhaul::system_test
