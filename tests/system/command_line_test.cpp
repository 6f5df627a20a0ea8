// Help texts, the version, `inspect`, and a run without mpirun.
#include "support/models/tiny_model.hpp"
#include "system/support/program.hpp"

namespace longhaul::system_test {
namespace {

class CommandLine : public ProgramTest {
  protected:
    void expect_text(ProcessResult const& result, std::vector<std::string> const& parts) {
        EXPECT_TRUE(ended_with(0, result));
        for (std::string const& part : parts) {
            EXPECT_NE(result.out.find(part), std::string::npos) << part << " in\n" << result.out;
        }
        EXPECT_EQ(result.err, "");
    }
};

TEST_F(CommandLine, Help) {
    expect_text(longhaul({"--help"}), {"run", "inspect", "queue", "bench", "--version"});
    expect_text(longhaul({"run", "--help"}),
                {"--model", "--random-weights", "--queue", "--output", "--replicas", "--spp",
                 "--kvp", "--tp", "--chunk", "--max-batch", "--kv-memory", "--dtype",
                 "--deterministic", "--retry-errors", "Exit codes", "Examples"});
    expect_text(longhaul({"inspect", "--help"}), {"inspect model", "inspect queue", "--json"});
    ProcessResult const bare = longhaul({});
    EXPECT_TRUE(ended_with(2, bare));
    EXPECT_NE(bare.err.find("Usage"), std::string::npos);
}

// The examples of the help text must be understood by the program itself.
TEST_F(CommandLine, OptionsOfTheHelpTextWork) {
    write_queue({text_job("a")});
    Words const options{"--replicas",
                        "1",
                        "--spp",
                        "1",
                        "--kvp",
                        "1",
                        "--tp",
                        "1",
                        "--kvp-weights",
                        "replicated",
                        "--kv-policy",
                        "single",
                        "--chunk",
                        "64",
                        "--max-batch",
                        "2",
                        "--block-slots",
                        "64",
                        "--deterministic",
                        "--dtype",
                        "f32",
                        "--kv-memory",
                        "8M",
                        "--backend",
                        "reference",
                        "--retry-errors",
                        "--quiet"};
    ProcessResult const result = run({.options = options});
    EXPECT_TRUE(ended_with(0, result));
    EXPECT_EQ(result.err, "") << "--quiet prints errors only";
    EXPECT_EQ(result.out, "");
}

TEST_F(CommandLine, Version) {
    expect_text(longhaul({"--version"}), {"longhaul 0.", "backends: cpu", "NCCL: ", "GPU: "});
}

TEST_F(CommandLine, InspectModel) {
    test::write_gguf({}, model);
    expect_text(longhaul({"inspect", "model", model.string()}),
                {"tiny.gguf", "GGUF", "5 layers", "9 query / 3 KV heads of 16", "vocabulary 271",
                 "tied embeddings", "chat template: yes"});
    auto const gguf = longhaul({"inspect", "model", model.string(), "--json"});
    ASSERT_TRUE(ended_with(0, gguf));
    auto const folder_path = folder() / "hf";
    test::write_safetensors_folder({}, folder_path);
    auto const hf = longhaul({"inspect", "model", "--json", folder_path.string()});
    ASSERT_TRUE(ended_with(0, hf));
    Json const a = Json::parse(gguf.out);
    Json const b = Json::parse(hf.out);
    EXPECT_EQ(a.at("format"), "GGUF");
    EXPECT_EQ(b.at("format"), "safetensors");
    for (char const* const same :
         {"num_layers", "hidden_dim", "num_heads", "num_kv_heads", "head_dim", "ffn_dim",
          "vocab_size", "trained_context", "rope_theta", "tied_embeddings", "chat_template",
          "kv_bytes_per_token", "eos_tokens"}) {
        EXPECT_EQ(a.at(same), b.at(same)) << same;
    }
    EXPECT_EQ(a.at("num_layers"), 5);
    EXPECT_EQ(a.at("kv_bytes_per_token").at("f32"), 2 * 5 * 3 * 16 * 4);
}

TEST_F(CommandLine, InspectQueue) {
    write("story.txt", "a short story");
    write_queue({text_job("a"), {{"id", "b"}, {"kind", "document"}, {"path", "story.txt"}}});
    expect_text(longhaul({"inspect", "queue", queue.string()}),
                {"2 jobs", "text", "document", "story.txt", "nothing wrong"});
    write_queue_text(read(queue) + "garbage\n" +
                     Json{{"id", "c"}, {"kind", "score"}, {"path", "nowhere.txt"}}.dump() + "\n" +
                     text_job("a").dump() + "\n");
    ProcessResult const text = longhaul({"inspect", "queue", queue.string()});
    EXPECT_TRUE(ended_with(1, text));
    EXPECT_NE(text.out.find("3 problems"), std::string::npos) << text.out;
    ProcessResult const result = longhaul({"inspect", "queue", queue.string(), "--json"});
    EXPECT_TRUE(ended_with(1, result));
    Json const json = Json::parse(result.out, nullptr, false);
    ASSERT_TRUE(json.is_object()) << result.out;
    EXPECT_EQ(json.at("lines"), 5);
    EXPECT_EQ(json.at("kinds").at("text").at("jobs"), 1);
    ASSERT_EQ(json.at("problems").size(), 3U);
    EXPECT_EQ(json.at("problems")[0].at("code"), "bad_json");
    EXPECT_EQ(json.at("problems")[1].at("code"), "unreadable");
    EXPECT_EQ(json.at("problems")[2].at("code"), "duplicate_id");
}

TEST_F(CommandLine, InspectWrongly) {
    EXPECT_TRUE(failed_with(2, longhaul({"inspect"}), {"inspect --help"}));
    EXPECT_TRUE(failed_with(2, longhaul({"inspect", "results", "x"}), {"results"}));
    EXPECT_TRUE(failed_with(2, longhaul({"inspect", "model", "nowhere"}), {"nowhere"}));
    EXPECT_TRUE(failed_with(2, longhaul({"inspect", "queue", "nowhere"}), {"nowhere"}));
}

// A queue in parts, run apart and joined: the same results as the whole, in a folder in which there is nothing left to do.
TEST_F(CommandLine, QueueSplitAndMerge) {
    expect_text(longhaul({"queue", "--help"}), {"queue split", "queue merge", "Examples"});
    write("story.txt", "a short story");
    std::vector<Json> jobs{
        {{"id", "b"}, {"kind", "document"}, {"path", "story.txt"}, {"max_tokens", 3}}};
    for (int i = 0; i < 5; ++i) {
        jobs.push_back(text_job("job-" + std::to_string(i), "words of " + std::to_string(i)));
    }
    write_queue(jobs);
    auto const whole_queue = queue;
    Words const options{"--dtype", "f32", "--deterministic"};
    ASSERT_TRUE(ended_with(0, run({.options = options})));
    Results const whole = results();
    auto const parts = (folder() / "parts").string();
    expect_text(longhaul({"queue", "split", queue.string(), "--parts", "2", "--output", parts}),
                {"part-0.jsonl", "part-1.jsonl", "documents", "--array=0-1"});
    Words merge{"queue", "merge"};
    for (char const* const name : {"part-0", "part-1"}) {
        queue = folder() / "parts" / (name + std::string(".jsonl"));
        output = folder() / name;
        ASSERT_TRUE(ended_with(0, run({.options = options})));
        merge.push_back(output.string());
    }
    queue = whole_queue;
    output = folder() / "all";
    for (std::string const& word :
         {std::string("--output"), output.string(), "--queue=" + queue.string()}) {
        merge.push_back(word);
    }
    expect_text(longhaul(merge), {"6 results, 6 ok, 0 failed"});
    for (auto const& [id, result] : whole.by_id) {
        for (char const* const field :
             {"text", "token_ids", "prompt_tokens", "finish_reason", "job_hash"}) {
            EXPECT_EQ(results().by_id.at(id).at(field), result.at(field)) << id << " " << field;
        }
    }
    EXPECT_EQ(results().lines.front().at("id"), "b") << "the order of the queue";
    jobs.push_back(text_job("new"));
    write_queue(jobs);
    ProcessResult const incomplete = longhaul(merge);
    EXPECT_TRUE(ended_with(1, incomplete));
    EXPECT_NE(incomplete.out.find("1 without a result:\n  new"), std::string::npos)
        << incomplete.out;
    ASSERT_TRUE(ended_with(0, run({.options = options})));
    EXPECT_EQ(read_json("run.json").at("jobs"), (Json{{"ok", 1}, {"failed", 0}, {"skipped", 6}}));
}

TEST_F(CommandLine, QueueWrongly) {
    write_queue({text_job("a")});
    std::string const parts = (folder() / "parts").string();
    EXPECT_TRUE(failed_with(2, longhaul({"queue"}), {"queue --help"}));
    EXPECT_TRUE(failed_with(2, longhaul({"queue", "mix"}), {"mix"}));
    EXPECT_TRUE(failed_with(2, longhaul({"queue", "split", queue.string()}), {"is missing"}));
    EXPECT_TRUE(failed_with(
        2, longhaul({"queue", "split", queue.string(), "--output", parts, "--parts", "2x"}),
        {"2x"}));
    EXPECT_TRUE(failed_with(
        2, longhaul({"queue", "split", queue.string(), "--output", parts, "--parts", "2"}),
        {"1 document"}));
    EXPECT_TRUE(
        failed_with(2, longhaul({"queue", "split", queue.string(), "--part", "2"}), {"'--part'"}));
    EXPECT_TRUE(
        failed_with(2, longhaul({"queue", "merge", "--output", parts}), {"output folders"}));
    EXPECT_TRUE(
        failed_with(2, longhaul({"queue", "merge", "nowhere", "--output", parts}), {"nowhere"}));
    EXPECT_TRUE(failed_with(2, longhaul({"queue", "merge", "x", "--output"}), {"needs a value"}));
}

// `longhaul run` alone is one rank, and says what it chose.
TEST_F(CommandLine, RunWithoutMpirun) {
    write_queue({text_job("a")});
    ProcessResult const result = run({});
    EXPECT_TRUE(ended_with(0, result));
    for (char const* const part : {"grid of 1 rank", "replicas 1 (default)", "weights", "KV up to",
                                   "jobs 1/1", "1 ok, 0 failed", "time to first token"}) {
        EXPECT_NE(result.err.find(part), std::string::npos) << part << " in\n" << result.err;
    }
    EXPECT_EQ(result.out, "");
    Json const job = results().by_id.at("a");
    for (char const* const field :
         {"status", "text", "token_ids", "prompt_tokens", "completion_tokens", "finish_reason",
          "ttft_s", "tbt_s", "prefill", "grid", "job_hash"}) {
        EXPECT_TRUE(job.contains(field)) << field;
    }
}

// The same numbers from both kinds of model file, and the same answer whoever shares the batch.
TEST_F(CommandLine, FolderAndGgufAgree) {
    Json score{{"id", "s"}, {"kind", "score"}, {"text", "the words of a text to score"}};
    write_queue({text_job("a", "tell me", 12), score});
    ASSERT_TRUE(ended_with(0, run({.options = {"--dtype", "f32"}})));
    Results const gguf = results();
    model = folder() / "hf";
    output = folder() / "out-hf";
    test::write_safetensors_folder({}, model);
    ASSERT_TRUE(ended_with(0, run({.options = {"--dtype", "f32"}})));
    EXPECT_EQ(results().by_id.at("a").at("token_ids"), gguf.by_id.at("a").at("token_ids"));
    EXPECT_EQ(results().by_id.at("s").at("logprobs"), gguf.by_id.at("s").at("logprobs"));
}

}  // namespace
}  // namespace longhaul::system_test
