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
    expect_text(longhaul({"--help"}), {"run", "inspect", "--version"});
    expect_text(longhaul({"run", "--help"}),
                {"--model", "--queue", "--output", "--replicas", "--spp", "--kvp", "--tp",
                 "--chunk", "--max-batch", "--kv-memory", "--dtype", "--deterministic",
                 "--retry-errors", "Exit codes", "Examples"});
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
    expect_text(longhaul({"--version"}), {"longhaul 0.", "backends: cpu", "GPU: "});
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
