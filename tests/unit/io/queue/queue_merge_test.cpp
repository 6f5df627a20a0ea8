#include "io/queue_merge.hpp"

#include "base/error.hpp"
#include "io/output_dir.hpp"
#include "io/result.hpp"
#include "unit/io/queue/scratch_folder.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace longhaul::io {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

RunIdentity const kIdentity{"model-1", "bf16", "template-1", "smol"};

std::string ok_line(std::string const& id, std::string const& hash = "1") {
    JobResult result;
    result.id = id;
    result.job_hash = hash;
    result.text = "of " + id;
    return to_json_line(result);
}

std::string error_line(std::string const& id, std::string const& hash = "1") {
    return to_json_line(failed_result(id, hash, {"empty", "the document is empty"}));
}

class QueueMerge : public testing::Test {
  protected:
    std::filesystem::path make(std::string const& name, std::vector<std::string> const& lines,
                               RunState state = RunState::complete,
                               RunIdentity const& identity = kIdentity) {
        OutputDir out(scratch / name, identity);
        for (std::string const& line : lines) out.append(line);
        out.write_state(state, "");
        return scratch / name;
    }
    MergeReport merge(std::vector<std::filesystem::path> outputs, std::string const& target = "all",
                      std::optional<std::filesystem::path> queue = std::nullopt) {
        return merge_results({std::move(outputs), scratch / target, std::move(queue)});
    }
    std::string refusal(std::vector<std::filesystem::path> const& outputs,
                        std::string const& target = "all") {
        return message_of<ValidationError>([&] { static_cast<void>(merge(outputs, target)); });
    }
    std::filesystem::path queue_of(std::vector<std::string> const& ids) {
        std::string text;
        for (std::string const& id : ids) {
            text += fmt::format(R"({{"id":"{}","kind":"text","text":"x"}})"
                                "\n",
                                id);
        }
        return scratch.write("queue.jsonl", text);
    }

    ScratchFolder scratch;
};

TEST_F(QueueMerge, JoinsInTheOrderOfFoldersOrOfTheQueue) {
    auto const one = make("one", {ok_line("c"), ok_line("a")});
    auto const two = make("two", {error_line("d"), ok_line("b")});
    MergeReport const plain = merge({one, two});
    EXPECT_EQ(plain.results, scratch / "all/results.jsonl");
    EXPECT_EQ(plain.num_ok, 3);
    EXPECT_EQ(plain.num_failed, 1);
    EXPECT_FALSE(plain.complete());
    EXPECT_EQ(scratch.read("all/results.jsonl"), ok_line("c") + "\n" + ok_line("a") + "\n" +
                                                     error_line("d") + "\n" + ok_line("b") + "\n");

    auto const queue = queue_of({"a", "b", "x", "c"});
    MergeReport const ordered = merge({one, two}, "all/file.jsonl", queue);
    EXPECT_EQ(scratch.read("all/file.jsonl"),
              ok_line("a") + "\n" + ok_line("b") + "\n" + ok_line("c") + "\n");
    EXPECT_THAT(ordered.missing, ElementsAre("x"));
    EXPECT_THAT(ordered.left_out, ElementsAre("d"));
    EXPECT_EQ(ordered.num_failed, 0);
    EXPECT_FALSE(ordered.complete());
    EXPECT_TRUE(merge({one, two}, "all/file.jsonl", queue_of({"a", "c"})).complete());
}

TEST_F(QueueMerge, OneLineForEachId) {
    auto const one =
        make("one", {error_line("a", "0"), ok_line("a"), ok_line("b"), error_line("c")});
    auto const two = make("two", {error_line("b"), ok_line("c"), ok_line("a")});
    EXPECT_TRUE(merge({one, two}).complete());
    EXPECT_EQ(scratch.read("all/results.jsonl"),
              ok_line("a") + "\n" + ok_line("b") + "\n" + ok_line("c") + "\n");
}

// The folder it makes is one in which a run on the whole queue can go on, and finds what is there.
TEST_F(QueueMerge, MakesAFolderForARun) {
    auto const one = make("one", {ok_line("a")});
    EXPECT_TRUE(merge({one}).complete());
    EXPECT_TRUE(merge({one}).complete()) << "again over its own results";
    {
        OutputDir out(scratch / "all", kIdentity);
        EXPECT_EQ(out.known("a"), (KnownResult{"1", true}));
    }
    EXPECT_THAT(refusal({one}), HasSubstr("is the output folder of a run"));
    EXPECT_THAT(refusal({one}, "all/results.jsonl"), HasSubstr("is the output folder of a run"));
    EXPECT_THAT(refusal({one}, "one"), HasSubstr("is the output folder of a run"));
}

TEST_F(QueueMerge, NamesFoldersThatAreNotComplete) {
    auto const one = make("one", {ok_line("a")}, RunState::running);
    auto const two = make("two", {ok_line("b")}, RunState::requeue);
    auto const three = make("three", {}, RunState::complete);
    std::filesystem::remove(three / "state.json");
    std::ofstream(one / "results.jsonl", std::ios::app) << ok_line("torn").substr(0, 20);
    MergeReport const report = merge({one, two, three});
    EXPECT_THAT(report.running, ElementsAre(one.string(), two.string(), three.string()));
    EXPECT_FALSE(report.complete());
    EXPECT_EQ(scratch.read("all/results.jsonl"), ok_line("a") + "\n" + ok_line("b") + "\n");
}

TEST_F(QueueMerge, RefusesFoldersThatDoNotBelongTogether) {
    auto const one = make("one", {ok_line("a"), ok_line("b"), ok_line("c")});
    auto const other = make("other", {ok_line("b", "2"), error_line("a", "2"), ok_line("c")});
    EXPECT_THAT(refusal({one, other}),
                AllOf(HasSubstr("2 ids"), HasSubstr("\"a\" in "), HasSubstr("\"b\" in "),
                      testing::Not(HasSubstr("\"c\""))));
    auto const with = [&](char const* name, RunIdentity const& identity) {
        return make(name, {ok_line("z")}, RunState::complete, identity);
    };
    EXPECT_THAT(refusal({one, with("model", {"model-2", "bf16", "template-1", "smol"})}),
                HasSubstr("another model"));
    EXPECT_THAT(refusal({one, with("dtype", {"model-1", "f32", "template-1", "smol"})}),
                HasSubstr("another dtype"));
    EXPECT_THAT(refusal({one, with("chat", {"model-1", "bf16", "template-2", "smol"})}),
                HasSubstr("another chat template"));
    EXPECT_EQ(refusal({one, with("moved", {"model-1", "bf16", "template-1", "other name"})}), "");
    std::filesystem::remove_all(scratch / "all");
    EXPECT_THAT(refusal({one, scratch / "nowhere"}), HasSubstr("nowhere/results.jsonl"));
    scratch.write("file", "");
    EXPECT_THAT(refusal({one}, "file"), HasSubstr("Not a directory"));
    std::filesystem::remove(one / "identity.json");
    EXPECT_THAT(refusal({one}), HasSubstr("identity.json is missing"));
    EXPECT_FALSE(std::filesystem::exists(scratch / "all"));
}

TEST_F(QueueMerge, CopiesLongLinesWhole) {
    JobResult result;
    result.id = "long";
    result.job_hash = "1";
    result.text = std::string((std::size_t{5} << 20) + 17, 'x');
    auto const one = make("one", {ok_line("a"), to_json_line(result), ok_line("b")});
    EXPECT_TRUE(merge({one}, "all.jsonl", queue_of({"b", "long", "a"})).complete());
    EXPECT_EQ(scratch.read("all.jsonl"),
              ok_line("b") + "\n" + to_json_line(result) + "\n" + ok_line("a") + "\n");
    EXPECT_THAT(merge({make("two", {})}, "empty.jsonl").missing, IsEmpty());
}

}  // namespace
}  // namespace longhaul::io
