// Jobs of kind video_tokens on their way to the scheduler.

#include "io/model_file.hpp"
#include "schedule/block_keys.hpp"
#include "engine/job_preparer.hpp"
#include "engine/video_prompt.hpp"
#include "support/models/tiny_model.hpp"
#include "support/video_tokens/write_video_tokens.hpp"

#include <gmock/gmock.h>

#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>

namespace longhaul::engine {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kRows = 200;

class VideoJobTest : public testing::Test {
  protected:
    VideoJobTest()
        : folder_(std::filesystem::temp_directory_path() /
                  ("longhaul-video-" + std::to_string(getpid()))) {
        std::filesystem::create_directories(folder_);
        test::write_gguf(test::TinyModelSpec{}, folder_ / "tiny.gguf", io::TensorType::f32);
        file_ = io::ModelFile::open(folder_ / "tiny.gguf");
        text_.emplace(make_text_model(*file_));
        write("a.h5", 1);
    }
    ~VideoJobTest() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path write(std::string const& name, std::uint64_t seed,
                                std::int64_t rows = kRows) {
        test::VideoTokensSpec spec;
        spec.shape = {rows, file_->config().hidden_dim};
        spec.values = test::random_rows(seed, rows * file_->config().hidden_dim);
        test::write_video_tokens(spec, folder_ / name);
        return folder_ / name;
    }

    [[nodiscard]] JobPreparer preparer(std::int64_t capacity = 100) const {
        JobPreparer::Options options;
        options.vocab_size = file_->config().vocab_size;
        options.kv.block_slots = 64;
        options.kv.policy = schedule::KvPolicy::striped;
        options.kv.capacity = {capacity};
        options.hidden_dim = file_->config().hidden_dim;
        options.model_name = file_->config().name;
        return {*text_, options};
    }

    [[nodiscard]] io::Job job(std::string const& name, std::optional<std::string> prompt) const {
        io::Job job;
        job.id = "v";
        job.kind = io::JobKind::video_tokens;
        job.path = folder_ / name;
        job.prompt = std::move(prompt);
        job.sampling.max_tokens = 5;
        return job;
    }

    static LinkJob link(io::Job const& job) {
        return {io::serialize_job(job), false, false, {}, {}};
    }

    [[nodiscard]] std::string decode(std::vector<TokenId> const& ids) const {
        return text_->tokenizer.decode(ids, text::ControlTokens::keep);
    }

    std::filesystem::path folder_;
    std::unique_ptr<io::ModelFile> file_;
    std::optional<TextModel> text_;
};

TEST_F(VideoJobTest, TheVideoStandsWhereTheMarkerIs) {
    VideoSides sides = encode_around_video(*text_, job("a.h5", "Look at {video} and tell."));
    EXPECT_EQ(decode(sides.before), "<|im_start|>user\nLook at ");
    EXPECT_EQ(decode(sides.after), " and tell.<|im_end|>\n<|im_start|>assistant\n");
    sides = encode_around_video(*text_, job("a.h5", "Tell me."));
    EXPECT_EQ(decode(sides.before), "<|im_start|>user\n");
    EXPECT_EQ(decode(sides.after), "\n\nTell me.<|im_end|>\n<|im_start|>assistant\n");
    sides = encode_around_video(*text_, job("a.h5", std::nullopt));
    EXPECT_EQ(decode(sides.after), "<|im_end|>\n<|im_start|>assistant\n");
    io::Job with_system = job("a.h5", "{video}");
    with_system.system = "You see {video} well.";  // the marker counts in the prompt alone
    sides = encode_around_video(*text_, with_system);
    EXPECT_EQ(decode(sides.before),
              "<|im_start|>system\nYou see {video} well.<|im_end|>\n<|im_start|>user\n");
}

TEST_F(VideoJobTest, ControlTokensBesideTheVideoStayText) {
    TokenId const end = *text_->tokenizer.find("<|im_end|>");
    VideoSides const sides =
        encode_around_video(*text_, job("a.h5", "<|im_end|>{video}<|im_end|>"));
    EXPECT_EQ(std::count(sides.before.begin(), sides.before.end(), end), 0);
    EXPECT_EQ(std::count(sides.after.begin(), sides.after.end(), end), 1);
}

TEST_F(VideoJobTest, WithoutATemplateTheTextGoesInPlain) {
    TextModel plain{std::move(text_->tokenizer), std::nullopt};
    io::Job with_system = job("a.h5", "Before {video} after");
    with_system.system = "S";
    VideoSides const sides = encode_around_video(plain, with_system);
    auto const decoded = [&plain](std::vector<TokenId> const& ids) {
        return plain.tokenizer.decode(ids);
    };
    EXPECT_EQ(decoded(sides.before), "S\n\nBefore ");
    EXPECT_EQ(decoded(sides.after), " after");
}

TEST_F(VideoJobTest, ATemplateThatHidesTheMessageIsRefused) {
    text_->chat_template.emplace("{{ 'nothing of it' }}", "", "");
    EXPECT_THROW(static_cast<void>(encode_around_video(*text_, job("a.h5", "x"))), ValidationError);
    JobPreparer prepare = preparer();
    PreparedJob const prepared = prepare.prepare(link(job("a.h5", "x")));
    ASSERT_EQ(prepared.verdict, PreparedJob::Verdict::error);
    EXPECT_THAT(prepared.error->message, HasSubstr("chat template"));
}

TEST_F(VideoJobTest, TheSpecNamesTheRows) {
    JobPreparer prepare = preparer();
    PreparedJob const prepared = prepare.prepare(link(job("a.h5", "Look: {video} Why?")));
    ASSERT_EQ(prepared.verdict, PreparedJob::Verdict::run);
    ASSERT_EQ(prepared.spec.embeddings.size(), 1U);
    schedule::EmbeddingSpan const& span = prepared.spec.embeddings[0];
    EXPECT_EQ(span.num_rows, kRows);
    EXPECT_EQ(span.first_row, 0);
    EXPECT_EQ(span.file, (folder_ / "a.h5").string());
    EXPECT_EQ(span.file_bytes, static_cast<std::int64_t>(std::filesystem::file_size(span.file)));
    for (std::size_t i = 0; i < prepared.spec.prompt.size(); ++i) {
        bool const inside = span.range().contains(static_cast<std::int64_t>(i));
        EXPECT_EQ(prepared.spec.prompt[i] == schedule::kEmbeddingEntry, inside) << i;
    }
    EXPECT_EQ(prepared.spec.cut, (span.begin + kRows) / 64 * 64);
}

TEST_F(VideoJobTest, JobsOnOneContentShareKeys) {
    write("other.h5", 2);
    std::filesystem::copy_file(folder_ / "a.h5", folder_ / "copy.h5");
    JobPreparer prepare = preparer();
    auto const keys = [&](std::string const& name, std::string const& prompt) {
        PreparedJob const prepared = prepare.prepare(link(job(name, prompt)));
        EXPECT_EQ(prepared.verdict, PreparedJob::Verdict::run);
        return prepared.spec.prefix_keys;
    };
    auto const first = keys("a.h5", "Why?");
    ASSERT_EQ(first.size(), 3U);
    EXPECT_EQ(keys("a.h5", "How, and when?"), first);
    EXPECT_EQ(keys("copy.h5", "Why?"), first);
    EXPECT_NE(keys("other.h5", "Why?").front(), first.front());
    EXPECT_NE(keys("a.h5", "First {video}").front(), first.front());
}

TEST_F(VideoJobTest, KeysTellRowsApart) {
    std::vector<TokenId> const tokens(128, schedule::kEmbeddingEntry);
    schedule::EmbeddingSpan span{0, 128, "x", 0, 0, 0, 5, 6};
    auto const keys = [&] { return schedule::prefix_keys(tokens, 64, 1, std::span(&span, 1)); };
    auto const first = keys();
    span.file = "y";  // where the rows lie does not matter
    span.file_modified_ns = 99;
    EXPECT_EQ(keys(), first);
    span.first_row = 64;
    EXPECT_NE(keys()[0], first[0]);
    span.first_row = 0;
    span.hash_high = 7;
    EXPECT_NE(keys()[0], first[0]);
    span.hash_high = 6;
    span.begin = 1;
    span.num_rows = 127;
    EXPECT_NE(keys()[0], first[0]);
}

TEST_F(VideoJobTest, ChangedRowsAreAnotherJob) {
    JobPreparer prepare = preparer();
    io::Job const video = job("a.h5", "Why?");
    PreparedJob const first = prepare.prepare(link(video));
    LinkJob known = link(video);
    known.known = true;
    known.known_ok = true;
    known.known_hash = first.job_hash;
    EXPECT_EQ(prepare.prepare(known).verdict, PreparedJob::Verdict::skip_done);
    auto const path = write("a.h5", 3);
    // The same size and, on a coarse clock, the same time: make the time differ.
    std::filesystem::last_write_time(
        path, std::filesystem::last_write_time(path) + std::chrono::seconds(2));
    PreparedJob const second = prepare.prepare(known);
    EXPECT_EQ(second.verdict, PreparedJob::Verdict::run);
    EXPECT_NE(second.job_hash, first.job_hash);
}

TEST_F(VideoJobTest, RefusesWhatDoesNotFitTheModelOrTheCache) {
    test::VideoTokensSpec spec;
    spec.shape = {3, 8};
    spec.values = test::random_rows(1, 24);
    test::write_video_tokens(spec, folder_ / "narrow.h5");
    JobPreparer prepare = preparer(2);
    auto const error = [&](std::string const& name) {
        PreparedJob const prepared = prepare.prepare(link(job(name, std::nullopt)));
        EXPECT_EQ(prepared.verdict, PreparedJob::Verdict::error);
        return prepared.error ? prepared.error->code + ": " + prepared.error->message : "";
    };
    EXPECT_THAT(error("narrow.h5"),
                testing::AllOf(HasSubstr("bad_video_tokens"), HasSubstr("width is 72")));
    EXPECT_THAT(error("a.h5"), testing::AllOf(HasSubstr("too_long"), HasSubstr("200 rows")));
    write("tight.h5", 1, 128);  // fits alone, not with the template around it
    EXPECT_THAT(error("tight.h5"), HasSubstr("too_long"));
    EXPECT_THAT(error("missing.h5"), HasSubstr("unreadable"));
}

}  // namespace
}  // namespace longhaul::engine
