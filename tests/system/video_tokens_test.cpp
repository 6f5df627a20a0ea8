// Jobs of kind video_tokens as users run them.
#include "io/model_file.hpp"
#include "engine/text_model.hpp"
#include "support/video_tokens/write_video_tokens.hpp"
#include "system/support/golden.hpp"

#include <cmath>

namespace longhaul::system_test {
namespace {

class VideoTokens : public ProgramTest {
  protected:
    /// The model's own embeddings of a text, as a file beside the queue.
    void write_embeddings(std::string const& name, std::string const& text,
                          test::VideoElement element) const {
        auto const file = io::ModelFile::open(model);
        std::int64_t const width = file->config().hidden_dim;
        std::vector<TokenId> const tokens =
            engine::make_text_model(*file)
                .tokenizer.encode(text, text::SpecialTokens::plain_text)
                .ids;
        test::VideoTokensSpec spec;
        spec.element = element;
        spec.shape = {static_cast<std::int64_t>(tokens.size()), width};
        spec.model = file->config().name;
        spec.values.resize(tokens.size() * static_cast<std::size_t>(width));
        float* out = spec.values.data();
        for (TokenId const token : tokens) {
            file->read(io::GlobalTensor::token_embedding, {token, token + 1}, {0, width}, out,
                       width);
            out += width;
        }
        test::write_video_tokens(spec, folder() / name);
    }

    [[nodiscard]] static Json video_job(std::string const& id, std::string const& path) {
        return {{"id", id},         {"kind", "video_tokens"}, {"path", path},
                {"prompt", "Why?"}, {"max_tokens", 3},        {"ignore_eos", true}};
    }
};

// Words whose borders the tokenizer sees in the whole text too.
constexpr char const* kClip =
    "The harbour lies still in the morning. A man walks along the quay with a red bag, looks at "
    "the "
    "boats one after the other and counts them. At the seventh he stops, puts the bag down and "
    "waves "
    "to somebody on deck. A dog barks twice. Then both of them carry the bag aboard, and the boat "
    "leaves without lights.";

TEST_F(VideoTokens, TheRealModelAnswersAsToTheText) {
    model = Golden::model_path();
    if (!std::filesystem::exists(model)) {
        GTEST_SKIP() << model << " is missing; scripts/fetch_model.sh fetches it";
    }
    write_embeddings("clip.h5", kClip, test::VideoElement::f32);
    Json text = {{"id", "clip"},     {"kind", "text"},
                 {"text", kClip},    {"prompt", "What does the man do with the bag?"},
                 {"max_tokens", 12}, {"logprobs", 0}};
    Json video = text;
    video.erase("text");
    video["kind"] = "video_tokens";
    video["path"] = "clip.h5";
    Words const options{"--dtype", "f32", "--chunk", "32"};
    write_queue({text});
    ASSERT_TRUE(ended_with(0, run({.options = options}), 60));
    Json const expected = results().by_id.at("clip");
    output = folder() / "video";
    write_queue({video});
    Words grid = options;
    grid.insert(grid.end(), {"--spp", "2", "--kvp", "2", "--kv-policy", "striped"});
    ASSERT_TRUE(ended_with(0, run({.options = grid, .ranks = 4}), 60));
    Json const got = results().by_id.at("clip");

    EXPECT_EQ(got.at("prompt_tokens"), expected.at("prompt_tokens"));
    EXPECT_EQ(got.at("token_ids"), expected.at("token_ids")) << got.at("text");
    for (std::size_t i = 0; i < expected.at("logprobs").size(); ++i) {
        EXPECT_NEAR(got.at("logprobs")[i].at("logprob").get<double>(),
                    expected.at("logprobs")[i].at("logprob").get<double>(), 1e-3)
            << "token " << i;
    }
}

TEST_F(VideoTokens, BadFilesGetAnErrorLineEach) {
    write_queue({text_job("makes the model")});
    ASSERT_TRUE(ended_with(0, run({})));
    output = folder() / "video";
    test::VideoTokensSpec spec;
    spec.shape = {40, 8};
    spec.values = test::random_rows(1, 320);
    test::write_video_tokens(spec, folder() / "narrow.h5");
    spec.shape = {40, 72};
    spec.values = test::random_rows(1, 40 * 72);
    test::write_video_tokens(spec, folder() / "good.h5");
    std::string const bytes = read(folder() / "good.h5");
    write("cut.h5", bytes.substr(0, bytes.size() / 2));
    spec.values[100] = std::nanf("");
    test::write_video_tokens(spec, folder() / "nan.h5");
    Json marked = video_job("two markers", "good.h5");
    marked["prompt"] = "{video} or {video}";
    write_queue({video_job("before", "good.h5"), video_job("narrow", "narrow.h5"),
                 video_job("cut", "cut.h5"), video_job("nan", "nan.h5"),
                 video_job("missing", "missing.h5"), marked, video_job("after", "good.h5")});

    EXPECT_TRUE(ended_with(1, run({.options = {"--kvp", "2"}, .ranks = 2})));

    Results const all = results();
    EXPECT_EQ(all.lines.size(), 7U);
    EXPECT_EQ(all.by_id.at("before").at("token_ids"), all.by_id.at("after").at("token_ids"));
    auto const expect_error = [&all](std::string const& id, std::string const& code,
                                     std::string const& part) {
        EXPECT_EQ(all.error_code(id), code);
        EXPECT_NE(all.error_message(id).find(part), std::string::npos) << all.error_message(id);
    };
    expect_error("narrow", "bad_video_tokens", "width is 72");
    expect_error("cut", "unreadable", "truncated");
    expect_error("nan", "non_finite", "row 1 ");
    expect_error("missing", "unreadable", "No such file");
    expect_error("two markers", "bad_field", "more than once");
    // The same is said before the run, but for what only reading all of a file shows.
    ProcessResult const inspected = longhaul({"inspect", "queue", queue.string()});
    EXPECT_EQ(inspected.exit_code, 1);
    EXPECT_NE(inspected.out.find("video_tokens"), std::string::npos) << inspected.out;
    EXPECT_NE(inspected.out.find("3 problems"), std::string::npos) << inspected.out;
}

}  // namespace
}  // namespace longhaul::system_test
