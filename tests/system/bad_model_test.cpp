// Model files that are missing, cut short, damaged, or full of numbers that are none.
#include "support/models/tiny_model.hpp"
#include "system/support/program.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>

namespace longhaul::system_test {
namespace {

class BadModel : public ProgramTest {
  protected:
    BadModel() { write_queue({text_job("a")}); }

    // Neither result nor state: the run was refused before it began.
    void expect_refused(ProcessResult const& result, std::vector<std::string> const& parts) const {
        EXPECT_TRUE(failed_with(2, result, parts));
        EXPECT_FALSE(std::filesystem::exists(output / "results.jsonl"));
    }

    std::filesystem::path write_folder() {
        auto path = folder() / "tiny_hf";
        test::write_safetensors_folder({}, path);
        return path;
    }
};

std::string flipped(std::string bytes, std::size_t at, int bit) {
    bytes[at] = static_cast<char>(static_cast<unsigned char>(bytes[at]) ^ (1U << bit));
    return bytes;
}

TEST_F(BadModel, Missing) {
    model = folder() / "nowhere.gguf";
    expect_refused(run({}), {"nowhere.gguf", "No such file"});
}

TEST_F(BadModel, MissingUnderMpirunIsSaidOnce) {
    model = folder() / "nowhere.gguf";
    expect_refused(run({.ranks = 3}), {"nowhere.gguf", "No such file"});
}

TEST_F(BadModel, EmptyFile) {
    model = write("empty.gguf", "");
    expect_refused(run({}), {"empty.gguf"});
}

TEST_F(BadModel, TextInsteadOfAModel) {
    model = write("readme.gguf", "this is no model, whatever its name says\n");
    expect_refused(run({}), {"readme.gguf"});
}

TEST_F(BadModel, GgufCutShort) {
    std::string const bytes = test::tiny_gguf_bytes({});
    for (std::size_t const kept : {std::size_t{3}, std::size_t{20}, bytes.size() / 100,
                                   bytes.size() / 2, bytes.size() - 1}) {
        SCOPED_TRACE(kept);
        model = write("cut.gguf", bytes.substr(0, kept));
        expect_refused(run({}), {"cut.gguf"});
    }
}

TEST_F(BadModel, GgufCutShortUnderMpirun) {
    std::string const bytes = test::tiny_gguf_bytes({});
    model = write("cut.gguf", bytes.substr(0, bytes.size() - 1));
    expect_refused(run({.ranks = 2}), {"cut.gguf"});
}

// Magic, version, number of tensors, number of metadata entries: the highest bit of each.
TEST_F(BadModel, GgufHeaderBitFlipped) {
    std::string const bytes = test::tiny_gguf_bytes({});
    for (std::size_t const at : {0, 7, 15, 23}) {
        SCOPED_TRACE(at);
        model = write("flipped.gguf", flipped(bytes, at, 7));
        expect_refused(run({}), {"flipped.gguf"});
    }
}

// Any bit of what stands before the weights. Some flips make another valid file (a letter of a name that is
// not used); what they must never do is crash or hang.
TEST_F(BadModel, GgufAnyBitFlippedIsSurvived) {
    std::vector<std::int64_t> boundaries;
    std::string const bytes = test::tiny_gguf_bytes({}, &boundaries);
    auto const seed = std::uint64_t{20261124};
    RecordProperty("seed", std::to_string(seed));
    std::mt19937_64 random(seed);
    int refused = 0;
    int const trials = 60;
    for (int trial = 0; trial < trials; ++trial) {
        auto const field = static_cast<std::size_t>(boundaries[random() % boundaries.size()]);
        std::size_t const at = std::min(field + random() % 8, bytes.size() - 1);
        int const bit = static_cast<int>(random() % 8);
        SCOPED_TRACE("byte " + std::to_string(at) + ", bit " + std::to_string(bit));
        write("flipped.gguf", flipped(bytes, at, bit));
        ProcessResult const result =
            longhaul({"inspect", "model", (folder() / "flipped.gguf").string()});
        ASSERT_FALSE(result.timed_out);
        if (result.exit_code != 0) {
            ++refused;
            EXPECT_TRUE(failed_with(2, result, {"flipped.gguf"}));
        }
    }
    EXPECT_GE(refused, trials / 6);
}

TEST_F(BadModel, SafetensorsCutShort) {
    model = write_folder();
    auto const file = model / "model.safetensors";
    std::string const bytes = read(file);
    for (std::size_t const kept :
         {std::size_t{0}, std::size_t{5}, std::size_t{100}, bytes.size() / 2, bytes.size() - 1}) {
        SCOPED_TRACE(kept);
        test::write_file(file, bytes.substr(0, kept));
        expect_refused(run({}), {"model.safetensors"});
    }
}

// The length of the header, its opening brace, and a digit of an offset.
TEST_F(BadModel, SafetensorsBitFlipped) {
    model = write_folder();
    auto const file = model / "model.safetensors";
    std::string const bytes = read(file);
    std::size_t const offset = bytes.find("data_offsets") + std::strlen("data_offsets\":[0,");
    for (std::size_t const at : {std::size_t{1}, std::size_t{7}, std::size_t{8}, offset}) {
        SCOPED_TRACE(at);
        test::write_file(file, flipped(bytes, at, 3));
        expect_refused(run({}), {"model.safetensors"});
    }
}

TEST_F(BadModel, FolderWithoutItsParts) {
    model = write_folder();
    for (char const* const part : {"config.json", "model.safetensors", "tokenizer.json"}) {
        SCOPED_TRACE(part);
        auto const aside = folder() / "aside";
        std::filesystem::rename(model / part, aside);
        expect_refused(run({}), {part});
        std::filesystem::rename(aside, model / part);
    }
}

TEST_F(BadModel, BrokenConfiguration) {
    model = write_folder();
    test::write_file(model / "config.json", "{\"num_hidden_layers\": ");
    expect_refused(run({}), {"config.json"});
}

// A name is only shown, so damage to it must not cost a run, least of all at its end.
TEST_F(BadModel, NamesThatAreNotUtf8) {
    std::string const bytes = test::tiny_gguf_bytes({});
    model = write("tiny-\xff.gguf", flipped(bytes, bytes.find("longhaul-tiny"), 7));
    output = folder() / "out-\xfe";
    EXPECT_TRUE(ended_with(0, run({})));
    EXPECT_EQ(read_json("run.json").at("jobs").at("ok"), 1);
    EXPECT_EQ(read_json("state.json").value("state", ""), "complete");
    ProcessResult const result = longhaul({"inspect", "model", model.string(), "--json"});
    EXPECT_TRUE(ended_with(0, result));
    EXPECT_TRUE(Json::accept(result.out)) << result.out;
}

// Found while running: each job gets its error line, the run goes on.
TEST_F(BadModel, WeightsThatAreNoNumbers) {
    test::TinyModelSpec spec;
    spec.nan_norm = true;
    model = folder() / "nan.gguf";
    test::write_gguf(spec, model);
    write_queue({text_job("generated"), {{"id", "scored"}, {"kind", "score"}, {"text", "a text"}}});
    for (int const ranks : {0, 2}) {
        SCOPED_TRACE(ranks);
        output = folder() / ("out" + std::to_string(ranks));
        Words const options = ranks == 2 ? Words{"--spp", "2"} : Words{};
        EXPECT_TRUE(ended_with(1, run({.options = options, .ranks = ranks})));
        EXPECT_EQ(results().error_code("generated"), "non_finite");
        EXPECT_EQ(results().error_code("scored"), "non_finite");
        EXPECT_NE(results().error_message("scored").find("another --output"), std::string::npos);
    }
}

// One token's embedding is damaged: the job that has it fails, its companions in the batch do not.
TEST_F(BadModel, OneTokenThatIsNoNumber) {
    test::TinyModelSpec spec;
    spec.tied = false;
    spec.nan_token = 77;
    model = folder() / "nan.gguf";
    test::write_gguf(spec, model);
    Json bad = text_job("with");
    bad.erase("text");
    bad["token_ids"] = {5, 6, 77, 8};
    Json good = bad;
    good["id"] = "without";
    good["token_ids"] = {5, 6, 78, 8};
    write_queue({text_job("first"), bad, good});
    EXPECT_TRUE(ended_with(1, run({})));
    EXPECT_EQ(results().error_code("with"), "non_finite");
    EXPECT_EQ(results().status("without"), "ok");
    EXPECT_EQ(results().status("first"), "ok");
}

}  // namespace
}  // namespace longhaul::system_test
