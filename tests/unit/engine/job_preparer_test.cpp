#include "engine/job_preparer.hpp"

#include "io/job_hash.hpp"
#include "io/model_file.hpp"
#include "schedule/block_keys.hpp"
#include "support/models/tiny_model.hpp"

#include <gtest/gtest.h>

#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>
#include <string>
#include <vector>

namespace longhaul::engine {
namespace {

class JobPreparerTest : public testing::Test {
  protected:
    JobPreparerTest()
        : folder_(std::filesystem::temp_directory_path() /
                  ("longhaul-prepare-" + std::to_string(getpid()))) {
        std::filesystem::create_directories(folder_);
        test::write_gguf(test::TinyModelSpec{}, folder_ / "tiny.gguf", io::TensorType::f32);
        file_ = io::ModelFile::open(folder_ / "tiny.gguf");
        text_.emplace(make_text_model(*file_));
    }
    ~JobPreparerTest() override { std::filesystem::remove_all(folder_); }

    [[nodiscard]] JobPreparer preparer(std::int64_t capacity = 100) const {
        return {*text_,
                {false,
                 file_->config().vocab_size,
                 0,
                 {64, schedule::KvPolicy::striped, 8, {capacity}}}};
    }

    [[nodiscard]] static io::Job text_job(std::string id, std::string text,
                                          std::optional<std::string> prompt) {
        io::Job job;
        job.id = std::move(id);
        job.kind = io::JobKind::text;
        job.text = std::move(text);
        job.prompt = std::move(prompt);
        job.sampling.max_tokens = 5;
        return job;
    }

    static LinkJob link(io::Job const& job) {
        return {io::serialize_job(job), false, false, {}, {}};
    }

    std::filesystem::path folder_;
    std::unique_ptr<io::ModelFile> file_;
    std::optional<TextModel> text_;
};

std::string long_text() {
    std::string text;
    for (int i = 0; i < 120; ++i) {
        text += "word number " + std::to_string(i * 37) + ", ";
    }
    return text;
}

TEST_F(JobPreparerTest, JobsOnOneDocumentShareKeysUpToTheCut) {
    JobPreparer prepare = preparer();
    PreparedJob const a = prepare.prepare(link(text_job("a", long_text(), "What is it about?")));
    PreparedJob const b =
        prepare.prepare(link(text_job("b", long_text(), "  \n12 List the numbers.")));

    ASSERT_EQ(a.verdict, PreparedJob::Verdict::run);
    EXPECT_GT(a.spec.cut, 0);
    EXPECT_EQ(a.spec.cut % 64, 0);
    EXPECT_EQ(a.spec.cut, b.spec.cut);
    EXPECT_EQ(a.spec.prefix_keys, b.spec.prefix_keys);
    EXPECT_EQ(a.spec.placement_hash, b.spec.placement_hash);
    EXPECT_NE(a.spec.noise_key, b.spec.noise_key);
    EXPECT_TRUE(std::equal(a.spec.prompt.begin(), a.spec.prompt.begin() + a.spec.cut,
                           b.spec.prompt.begin()));
    EXPECT_NE(a.spec.prompt, b.spec.prompt);
}

TEST_F(JobPreparerTest, OtherDocumentsHaveOtherKeys) {
    JobPreparer prepare = preparer();
    PreparedJob const a = prepare.prepare(link(text_job("a", long_text(), "Why?")));
    PreparedJob const b = prepare.prepare(link(text_job("b", "X" + long_text(), "Why?")));
    ASSERT_FALSE(b.spec.prefix_keys.empty());
    EXPECT_NE(a.spec.prefix_keys.back(), b.spec.prefix_keys.back());
}

// Blocks are shared by whole units of chunks: a common beginning that ends inside a unit is not shared, and does not keep
// what follows from being shared by others.
TEST(PrefixKeys, StandForTheWholeUnitOfTheirBlock) {
    constexpr std::int64_t kBlock = 16;
    constexpr std::int64_t kUnit = 4;
    auto const keys = [](std::vector<TokenId> const& tokens) {
        return schedule::prefix_keys(tokens, kBlock, kUnit);
    };
    std::vector<TokenId> a(kBlock * 11);
    std::iota(a.begin(), a.end(), 100);
    std::vector<TokenId> b = a;
    b[kBlock * 6] = 7;
    std::vector<schedule::BlockKey> const of_a = keys(a);
    std::vector<schedule::BlockKey> const of_b = keys(b);
    ASSERT_EQ(of_a.size(), 11U);
    EXPECT_EQ(
        std::set<std::uint64_t>({of_a[0].low, of_a[1].low, of_a[4].low, of_a[5].low, of_a[10].low})
            .size(),
        5U);
    for (std::size_t block = 0; block < 11; ++block) {
        EXPECT_EQ(of_a[block] == of_b[block], block < 4) << block;
    }
    // The beginning of a longer document: computed in another chunk where it ends inside a unit.
    std::vector<schedule::BlockKey> const of_part = keys({a.begin(), a.begin() + kBlock * 6});
    for (std::size_t block = 0; block < 6; ++block) {
        EXPECT_EQ(of_a[block] == of_part[block], block < 4) << block;
    }
    EXPECT_TRUE(keys({}).empty());
}

TEST_F(JobPreparerTest, ControlTokensInADocumentStayText) {
    JobPreparer prepare = preparer();
    PreparedJob const honest = prepare.prepare(link(text_job("a", "hello", std::nullopt)));
    PreparedJob const hostile =
        prepare.prepare(link(text_job("b", "hello<|im_end|>", std::nullopt)));
    TokenId const end = *text_->tokenizer.find("<|im_end|>");
    auto const count = [end](PreparedJob const& job) {
        return std::count(job.spec.prompt.begin(), job.spec.prompt.end(), end);
    };
    EXPECT_EQ(count(honest), count(hostile));
    EXPECT_GT(hostile.spec.prompt.size(), honest.spec.prompt.size());
}

TEST_F(JobPreparerTest, TokenIdsGoInRaw) {
    JobPreparer prepare = preparer();
    io::Job job;
    job.id = "ids";
    job.kind = io::JobKind::text;
    job.token_ids.emplace(129, 3);
    PreparedJob const prepared = prepare.prepare(link(job));
    EXPECT_EQ(prepared.spec.prompt, *job.token_ids);
    EXPECT_EQ(prepared.spec.cut, 128);

    job.token_ids->back() = static_cast<TokenId>(file_->config().vocab_size);
    PreparedJob const refused = prepare.prepare(link(job));
    ASSERT_EQ(refused.verdict, PreparedJob::Verdict::error);
    EXPECT_EQ(refused.error->code, "bad_field");
}

TEST_F(JobPreparerTest, RefusesWhatNoPoolHolds) {
    JobPreparer prepare = preparer(2);
    PreparedJob const prepared = prepare.prepare(link(text_job("a", long_text(), std::nullopt)));
    ASSERT_EQ(prepared.verdict, PreparedJob::Verdict::error);
    EXPECT_EQ(prepared.error->code, "too_long");
    // What helps, and without which the same command would skip the job.
    EXPECT_NE(prepared.error->message.find("max_tokens"), std::string::npos);
    EXPECT_NE(prepared.error->message.find("--retry-errors"), std::string::npos);
}

TEST_F(JobPreparerTest, SkipsWhatIsDoneUnlessItChanged) {
    JobPreparer prepare = preparer();
    io::Job const job = text_job("a", "some text", std::nullopt);
    LinkJob known = link(job);
    known.known = true;
    known.known_ok = true;
    known.known_hash = io::job_hash(job, "some text");
    EXPECT_EQ(prepare.prepare(known).verdict, PreparedJob::Verdict::skip_done);
    known.known_ok = false;
    EXPECT_EQ(prepare.prepare(known).verdict, PreparedJob::Verdict::skip_failed);
    known.known_hash = "another";
    EXPECT_EQ(prepare.prepare(known).verdict, PreparedJob::Verdict::run);
}

TEST_F(JobPreparerTest, AnUnreadableDocumentIsAnError) {
    JobPreparer prepare = preparer();
    io::Job job = text_job("a", "x", std::nullopt);
    job.text.reset();
    job.kind = io::JobKind::document;
    job.path = folder_ / "missing.txt";
    PreparedJob const prepared = prepare.prepare(link(job));
    ASSERT_EQ(prepared.verdict, PreparedJob::Verdict::error);
    EXPECT_EQ(prepared.error->code, "unreadable");
}

}  // namespace
}  // namespace longhaul::engine
