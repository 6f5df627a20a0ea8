// Grids, options, memory and output folders that cannot work: exit code 2, one message.
#include "support/models/tiny_model.hpp"
#include "system/support/program.hpp"

namespace longhaul::system_test {
namespace {

class BadSetup : public ProgramTest {
  protected:
    BadSetup() { write_queue({text_job("a")}); }
};

TEST_F(BadSetup, GridDoesNotDivideTheRanks) {
    ProcessResult const result = run({.options = {"--spp", "2", "--kvp", "2"}, .ranks = 3});
    EXPECT_TRUE(failed_with(2, result, {"does not divide the 3 ranks", "1, 3"}));
}

TEST_F(BadSetup, GridLeavesRanksOut) {
    Words const options{"--replicas", "1", "--spp", "1", "--kvp", "1", "--tp", "1"};
    ProcessResult const result = run({.options = options, .ranks = 2});
    EXPECT_TRUE(failed_with(2, result, {"ranks"}));
}

TEST_F(BadSetup, MoreTensorRanksThanHeadsProposesKvp) {
    ProcessResult const result = run({.options = {"--tp", "4"}, .ranks = 4});
    EXPECT_TRUE(failed_with(2, result, {"--tp 4", "3 KV heads", "--kvp"}));
}

TEST_F(BadSetup, TheProposedGridWorks) {
    ProcessResult const result = run({.options = {"--tp", "6"}, .ranks = 6});
    EXPECT_TRUE(failed_with(2, result, {"--tp 3 --kvp 2"}));
    EXPECT_TRUE(ended_with(0, run({.options = {"--tp", "3", "--kvp", "2"}, .ranks = 6})));
}

TEST_F(BadSetup, MoreStagesThanLayers) {
    ProcessResult const result = run({.options = {"--spp", "6"}, .ranks = 6});
    EXPECT_TRUE(failed_with(2, result, {"--spp 6", "5 layers"}));
}

TEST_F(BadSetup, GridOfZero) {
    EXPECT_TRUE(failed_with(2, run({.options = {"--kvp", "0"}}), {"--kvp 0"}));
}

TEST_F(BadSetup, OptionsThatAreNone) {
    EXPECT_TRUE(failed_with(2, run({.options = {"--gird", "2"}, .ranks = 2}), {"--gird"}));
    EXPECT_TRUE(failed_with(2, run({.options = {"--dtype", "f64"}}), {"f64", "bf16, f32"}));
    EXPECT_TRUE(failed_with(2, run({.options = {"--chunk", "many"}}), {"chunk"}));
    EXPECT_TRUE(failed_with(2, run({.options = {"--chunk", "0"}}), {"--chunk 0"}));
    EXPECT_TRUE(failed_with(2, run({.options = {"--block-slots", "100"}}), {"--block-slots 100"}));
    EXPECT_TRUE(failed_with(2, run({.options = {"--kv-memory", "lots"}}), {"--kv-memory", "lots"}));
    EXPECT_TRUE(failed_with(2, longhaul({"run", "--model", "m"}), {"--queue is missing"}));
    EXPECT_TRUE(failed_with(2, longhaul({"walk"}), {"walk"}));
    EXPECT_TRUE(failed_with(2, run({.options = {"--quiet", "yes"}}), {"'yes'"}));
    EXPECT_TRUE(failed_with(2, run({.options = {"--", "--quiet"}}), {"'--quiet'"}));
    for (char const* const fault : {"0:1x", "0x:1", "-1:2", "0:-1", ":", "0:", ":setup", "1"}) {
        EXPECT_TRUE(
            failed_with(2, run({.options = {"--inject-fault", fault}}), {fault, "RANK:STEP"}));
    }
    EXPECT_TRUE(failed_with(2, run({.options = {"--inject-fault", "2:1"}, .ranks = 2}),
                            {"rank 2", "2 rank(s)"}));
}

TEST_F(BadSetup, CacheThatDoesNotFit) {
    ProcessResult const result = run({.options = {"--kv-memory", "4000000G"}, .ranks = 2});
    EXPECT_TRUE(failed_with(2, result, {"--kv-memory", "does not fit"}));
}

TEST_F(BadSetup, CacheWithoutASingleBlock) {
    EXPECT_TRUE(failed_with(2, run({.options = {"--kv-memory", "1K"}}), {"KV block"}));
}

TEST_F(BadSetup, RanksWithDifferentOptions) {
    ASSERT_TRUE(ended_with(0, run({})));  // makes the model
    Words command = mpirun(1);
    for (char const* const chunk : {"64", "128"}) {
        if (command.size() > 4) {
            command.insert(command.end(), {":", "-n", "1", "--oversubscribe"});
        }
        command.push_back(longhaul_program());
        Words const arguments = run_arguments({"--chunk", chunk});
        command.insert(command.end(), arguments.begin(), arguments.end());
    }
    ProcessResult const result = start_command(command)->wait(patient(30));
    EXPECT_TRUE(failed_with(2, result, {"rank 1", "different options", "one mpirun"}));
}

TEST_F(BadSetup, RankWithOptionsOfItsOwnThatAreWrong) {
    Words command = mpirun(1);
    command.insert(command.end(), {longhaul_program(), "run", "--help-me", ":", "-n", "1"});
    command.push_back(longhaul_program());
    Words const arguments = run_arguments({});
    command.insert(command.end(), arguments.begin(), arguments.end());
    ProcessResult const result = start_command(command)->wait(patient(30));
    EXPECT_TRUE(failed_with(2, result, {"rank 0", "--help-me"}));
}

TEST_F(BadSetup, OutputFolderInUse) {
    write_queue(long_jobs(20000, 100));  // more than any machine does in the time of this test
    std::unique_ptr<Process> const first = start({.options = {"--max-batch", "2"}});
    auto const running = [&] {
        return std::filesystem::exists(output / "state.json") &&
               read_json("state.json").value("state", "") == "running";
    };
    ASSERT_TRUE(first->wait_until(running, patient(20)));
    EXPECT_TRUE(failed_with(2, run({.ranks = 2}), {output.string(), "in use", "process"}));
    EXPECT_FALSE(first->ended()) << first->err();
}

TEST_F(BadSetup, OutputFolderOfAnotherModelOrDtype) {
    ASSERT_TRUE(ended_with(0, run({})));
    std::string const before = read(output / "results.jsonl");
    EXPECT_TRUE(failed_with(2, run({.options = {"--dtype", "f32"}}), {"dtype", "bf16", "f32"}));
    test::TinyModelSpec spec;
    spec.seed = 2;
    model = folder() / "other.gguf";
    test::write_gguf(spec, model);
    EXPECT_TRUE(failed_with(2, run({.ranks = 2}), {"another model"}));
    EXPECT_EQ(read(output / "results.jsonl"), before);
}

TEST_F(BadSetup, OutputIsAFile) {
    output = write("results", "something of mine");
    EXPECT_TRUE(failed_with(2, run({}), {output.string()}));
    EXPECT_EQ(read(output), "something of mine");
}

TEST_F(BadSetup, OutputHoldsResultsOfUnknownOrigin) {
    std::filesystem::create_directory(output);
    test::write_file(output / "results.jsonl", "{\"id\":\"a\",\"status\":\"ok\"}\n");
    EXPECT_TRUE(failed_with(2, run({}), {"results.jsonl", "identity.json"}));
    EXPECT_EQ(read(output / "results.jsonl"), "{\"id\":\"a\",\"status\":\"ok\"}\n");
}

TEST_F(BadSetup, RankThrowsAtSetUp) {
    ProcessResult const result = run({.options = {"--inject-fault", "1:setup"}, .ranks = 3});
    EXPECT_TRUE(failed_with(2, result, {"rank 1", "rehearsed failure during set-up"}));
    EXPECT_FALSE(std::filesystem::exists(output / "results.jsonl"));
    EXPECT_TRUE(ended_with(0, run({.ranks = 3})));
}

}  // namespace
}  // namespace longhaul::system_test
