#include "io/output_dir.hpp"

#include "base/error.hpp"
#include "io/result.hpp"
#include "unit/io/queue/scratch_folder.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <sys/wait.h>

namespace longhaul::io {
namespace {

using testing::HasSubstr;

RunIdentity const kIdentity{"model-1", "bf16", "template-1", "smol"};

std::string ok_line(std::string const& id, std::string const& hash, std::string const& text = "t") {
    JobResult result;
    result.id = id;
    result.job_hash = hash;
    result.text = text;
    return to_json_line(result);
}

std::string error_line(std::string const& id, std::string const& hash) {
    return to_json_line(failed_result(id, hash, {"empty", "the document is empty"}));
}

std::string refusal(std::filesystem::path const& path, RunIdentity const& identity = kIdentity) {
    return message_of<ValidationError>([&] { OutputDir const out(path, identity); });
}

TEST(OutputDir, RemembersWhatWasAppended) {
    ScratchFolder const scratch;
    auto const path = scratch / "made/on/the/way";
    {
        OutputDir out(path, kIdentity);
        EXPECT_FALSE(out.known("a"));
        out.append(ok_line("a", "1"));
        out.append(error_line("b", "2"));
        EXPECT_EQ(out.known("a"), (KnownResult{"1", true}));
    }
    OutputDir out(path, kIdentity);
    EXPECT_EQ(out.num_known(), 2);
    EXPECT_EQ(out.known("a"), (KnownResult{"1", true}));
    EXPECT_EQ(out.known("b"), (KnownResult{"2", false}));
    out.append(ok_line("b", "3"));
    EXPECT_EQ(out.known("b"), (KnownResult{"3", true}));
    EXPECT_EQ(scratch.read("made/on/the/way/results.jsonl"),
              ok_line("a", "1") + "\n" + error_line("b", "2") + "\n" + ok_line("b", "3") + "\n");
}

// Whatever a crash leaves behind the last whole line, the next start cuts it off and appends behind what is whole.
TEST(OutputDir, DropsATornEnd) {
    std::string const whole = ok_line("a", "1") + "\n" + ok_line("b", "2") + "\n";
    std::string const last = ok_line("c", "3", "some text") + "\n";
    std::vector<std::string> ends = {std::string(100, '\0'), std::string(9, '\0') + "\n",
                                     "{\"id\": \"c\"" + std::string(9, '\0') + "\n"};
    for (std::size_t size = 1; size < last.size(); size += 7) ends.push_back(last.substr(0, size));
    ends.push_back(last.substr(0, last.size() - 1));
    for (std::string const& end : ends) {
        ScratchFolder const scratch;
        { OutputDir const out(scratch / "", kIdentity); }
        scratch.write("results.jsonl", whole + end);
        OutputDir out(scratch / "", kIdentity);
        EXPECT_EQ(scratch.read("results.jsonl"), whole) << end;
        EXPECT_EQ(out.num_known(), 2);
        out.append(last.substr(0, last.size() - 1));
        EXPECT_EQ(scratch.read("results.jsonl"), whole + last);
    }
}

// They may be somebody's: they stay where they are until a complete run writes the file anew.
TEST(OutputDir, PassesOverForeignLines) {
    ScratchFolder const scratch;
    { OutputDir const out(scratch / "", kIdentity); }
    std::string const a = ok_line("a", "1") + "\n";
    std::string const b = ok_line("b", "2") + "\n";
    std::string const c = ok_line("c", "3");
    std::string const before = "garbage\n" + a + "{}\n" + b + "[1,\n2]\n\n";
    scratch.write("results.jsonl", before + "torn");
    OutputDir out(scratch / "", kIdentity);
    EXPECT_EQ(out.num_known(), 2);
    EXPECT_EQ(scratch.read("results.jsonl"), before);
    out.append(c);
    EXPECT_EQ(scratch.read("results.jsonl"), before + c + "\n");
    out.finish();
    EXPECT_EQ(scratch.read("results.jsonl"), a + b + c + "\n");
}

// What `jq .` makes of results is no torn line: nothing of it may be lost.
TEST(OutputDir, RefusesAReformattedFileAndLeavesItAlone) {
    ScratchFolder const scratch;
    { OutputDir const out(scratch / "", kIdentity); }
    for (std::string const end : {"", "torn"}) {
        std::string const pretty = nlohmann::json::parse(ok_line("a", "1")).dump(2) + "\n" + end;
        scratch.write("results.jsonl", pretty);
        std::string const message = refusal(scratch / "");
        EXPECT_THAT(message, HasSubstr("none of them is a result"));
        EXPECT_THAT(message, HasSubstr("jq -c"));
        EXPECT_EQ(scratch.read("results.jsonl"), pretty);
    }
}

TEST(OutputDir, FinishKeepsTheLatestLineOfEachId) {
    ScratchFolder const scratch;
    OutputDir out(scratch / "", kIdentity);
    out.append(ok_line("a", "1", std::string(3'000'000, 'x')));
    out.append(error_line("b", "1"));
    out.append(ok_line("c", "1"));
    out.append(ok_line("b", "1"));
    out.append(ok_line("a", "2"));
    out.finish();
    std::string const expected =
        ok_line("c", "1") + "\n" + ok_line("b", "1") + "\n" + ok_line("a", "2") + "\n";
    EXPECT_EQ(scratch.read("results.jsonl"), expected);
    EXPECT_FALSE(std::filesystem::exists(scratch / "results.jsonl.tmp"));
    // The folder goes on working, and a second finish has nothing to do.
    out.append(ok_line("d", "1"));
    out.append(ok_line("d", "2"));
    out.finish();
    out.finish();
    EXPECT_EQ(scratch.read("results.jsonl"), expected + ok_line("d", "2") + "\n");
    EXPECT_EQ(out.known("d"), (KnownResult{"2", true}));
}

TEST(OutputDir, RefusesAnotherModelDtypeOrTemplate) {
    ScratchFolder const scratch;
    {
        OutputDir out(scratch / "", kIdentity);
        out.append(ok_line("a", "1"));
    }
    EXPECT_EQ(refusal(scratch / ""), "");
    EXPECT_THAT(refusal(scratch / "", {"model-2", "bf16", "template-1", "other"}),
                HasSubstr("another model"));
    EXPECT_THAT(refusal(scratch / "", {"model-1", "f32", "template-1", "smol"}),
                HasSubstr("another dtype (bf16; now f32)"));
    EXPECT_THAT(refusal(scratch / "", {"model-1", "bf16", "template-2", "smol"}),
                HasSubstr("another chat template"));
    EXPECT_EQ(refusal(scratch / "", {"model-1", "bf16", "template-1", "smol, moved"}), "");
    scratch.write("identity.json", "garbage");
    EXPECT_THAT(refusal(scratch / ""), HasSubstr("identity.json"));
    std::filesystem::remove(scratch / "identity.json");
    EXPECT_THAT(refusal(scratch / ""), HasSubstr("identity.json is missing"));
}

TEST(OutputDir, IsAnybodysWithoutAResult) {
    ScratchFolder const scratch;
    { OutputDir const out(scratch / "", kIdentity); }
    RunIdentity const other{"model-2", "f32", "template-2", "other"};
    EXPECT_EQ(refusal(scratch / "", other), "");
    std::filesystem::remove(scratch / "results.jsonl");
    scratch.write("identity.json", "garbage");
    {
        OutputDir out(scratch / "", other);
        out.append(ok_line("a", "1"));
    }
    EXPECT_EQ(refusal(scratch / "", other), "");
    EXPECT_THAT(refusal(scratch / ""), HasSubstr("another model"));
}

TEST(OutputDir, OneRunAtATime) {
    ScratchFolder const scratch;
    {
        OutputDir const out(scratch / "", kIdentity);
        std::string const message = refusal(scratch / "");
        EXPECT_THAT(message, HasSubstr("in use"));
        EXPECT_THAT(message, HasSubstr(std::to_string(::getpid())));
    }
    EXPECT_EQ(refusal(scratch / ""), "");
}

TEST(OutputDir, ALockDiesWithItsHolder) {
    ScratchFolder const scratch;
    pid_t const child = ::fork();
    if (child == 0) {
        OutputDir out(scratch / "", kIdentity);
        out.append(ok_line("a", "1"));
        ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status));
    OutputDir const out(scratch / "", kIdentity);
    EXPECT_EQ(out.known("a"), (KnownResult{"1", true}));
}

TEST(OutputDir, RefusesWhatCannotBeAFolder) {
    ScratchFolder const scratch;
    auto const file = scratch.write("file", "x");
    EXPECT_THAT(refusal(file), HasSubstr("choose another --output"));
    EXPECT_THAT(refusal(file / "below"), HasSubstr("choose another --output"));
    EXPECT_THAT(refusal("/proc/longhaul"), HasSubstr("choose another --output"));
    std::filesystem::create_directories(scratch / "taken/results.jsonl");
    EXPECT_THAT(refusal(scratch / "taken"), HasSubstr("results.jsonl"));
}

TEST(OutputDir, StateAndRecordAreReplacedWhole) {
    ScratchFolder const scratch;
    OutputDir out(scratch / "", kIdentity);
    out.write_state(RunState::running, "started");
    EXPECT_EQ(nlohmann::json::parse(scratch.read("state.json")).at("state"), "running");
    out.write_state(RunState::requeue, "SIGTERM at step 12");
    auto const state = nlohmann::json::parse(scratch.read("state.json"));
    EXPECT_EQ(state.at("state"), "requeue");
    EXPECT_EQ(state.at("reason"), "SIGTERM at step 12");
    out.write_run_record("{}\n");
    EXPECT_EQ(scratch.read("run.json"), "{}\n");
    for (auto const& entry : std::filesystem::directory_iterator(scratch / "")) {
        EXPECT_NE(entry.path().extension(), ".tmp");
    }
}

TEST(Decide, RunsWhatIsNewChangedOrAskedFor) {
    KnownResult const done{"h", true};
    KnownResult const failed{"h", false};
    for (bool const retry : {false, true}) {
        EXPECT_EQ(decide(std::nullopt, "h", retry), Decision::run);
        EXPECT_EQ(decide(done, "h", retry), Decision::skip_done);
        EXPECT_EQ(decide(done, "other", retry), Decision::run);
        EXPECT_EQ(decide(failed, "other", retry), Decision::run);
        EXPECT_EQ(decide(failed, "h", retry), retry ? Decision::run : Decision::skip_failed);
    }
}

}  // namespace
}  // namespace longhaul::io
