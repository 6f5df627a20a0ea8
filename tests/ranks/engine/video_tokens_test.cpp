// Jobs of kind video_tokens through the whole engine: a file that holds a text's own embeddings gives what the text gives,
// on any grid; jobs on one file share it; a bad file is its job's error and nobody else's.

#include "io/video_tokens_file.hpp"
#include "engine/video_prompt.hpp"
#include "ranks/engine/stop_after.hpp"
#include "support/engine/compare_results.hpp"
#include "support/engine/engine_case.hpp"
#include "support/engine/engine_runner.hpp"
#include "support/engine/job_lines.hpp"
#include "support/sanitizers.hpp"
#include "support/video_tokens/write_video_tokens.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace longhaul::test {
namespace {

struct Grid {
    std::int64_t spp = 1;
    std::int64_t kvp = 1;
    std::int64_t tp = 1;
};

class VideoTokensRun : public testing::Test {
  protected:
    VideoTokensRun()
        : model_(io::ModelFile::open(runner.folder() / "model.gguf")),
          text(engine::make_text_model(*model_)) {}

    /// The model's embeddings of the tokens, as a file.
    std::filesystem::path write(std::string const& name, std::vector<TokenId> const& tokens,
                                VideoElement element = VideoElement::f32) {
        VideoTokensSpec spec;
        spec.element = element;
        spec.shape = {static_cast<std::int64_t>(tokens.size()), width()};
        spec.model = model_->config().name;
        spec.values.resize(tokens.size() * static_cast<std::size_t>(width()));
        float* out = spec.values.data();
        for (TokenId const token : tokens) {
            model_->read(io::GlobalTensor::token_embedding, {token, token + 1}, {0, width()}, out,
                         width());
            out += width();
        }
        write_video_tokens(spec, runner.folder() / name);
        return runner.folder() / name;
    }

    static JobLine video_job(std::string id, std::filesystem::path const& path, std::string prompt,
                             std::int64_t max_tokens = 5) {
        JobLine job = question_job(std::move(id), "", std::move(prompt), max_tokens);
        job.kind = "video_tokens";
        job.path = path.string();
        return job;
    }

    /// The video job's sequence with the tokens themselves in the place of their embeddings.
    [[nodiscard]] JobLine token_job(JobLine const& video,
                                    std::vector<TokenId> const& tokens) const {
        io::Job job;
        job.kind = io::JobKind::video_tokens;
        if (!video.prompt.empty()) {
            job.prompt = video.prompt;
        }
        engine::VideoSides sides = engine::encode_around_video(text, job);
        std::vector<TokenId> all = std::move(sides.before);
        all.insert(all.end(), tokens.begin(), tokens.end());
        all.insert(all.end(), sides.after.begin(), sides.after.end());
        return generate_job(video.id, std::move(all), video.max_tokens, *video.logprobs);
    }

    [[nodiscard]] std::int64_t width() const { return model_->config().hidden_dim; }

    EngineRunner runner;

  private:
    std::unique_ptr<io::ModelFile> model_;

  protected:
    engine::TextModel text;
};

class VideoTokensGrid : public VideoTokensRun, public testing::WithParamInterface<Grid> {
  protected:
    /// The same for every grid, and slow under a sanitizer: computed once for all of them.
    EngineResults const& baseline(std::string const& name, std::vector<JobLine> const& jobs) {
        static std::map<std::string, EngineResults> known;
        auto const [place, is_new] = known.try_emplace(name);
        if (is_new) {
            place->second = runner.run_on_loopback(baseline_case(), jobs).results;
        }
        return place->second;
    }
};

// Compares with the baseline's run of the tokens, whose prompt the preparer of text jobs never touched.
TEST_P(VideoTokensGrid, AFileOfATextsEmbeddingsGivesWhatTheTextGives) {
    std::vector<TokenId> const long_clip = random_tokens(11, 301);
    std::vector<TokenId> const short_clip = random_tokens(12, 5);
    auto const long_file = write("long.h5", long_clip);
    auto const short_file = write("short.h5", short_clip);
    std::vector<JobLine> const videos{
        video_job("front", long_file, "What happens?"),
        video_job("middle", long_file, "First read this, and take your time: {video} Who was it?"),
        video_job("end", long_file, "Describe {video}"),
        video_job("alone", long_file, ""),
        video_job("short", short_file, "Why {video}?"),
        sampled(video_job("sampled", long_file, "What else?"), 0.9, 17)};
    std::vector<JobLine> tokens;
    for (JobLine const& job : videos) {
        JobLine line = token_job(job, job.id == "short" ? short_clip : long_clip);
        line.temperature = job.temperature;
        line.seed = job.seed;
        tokens.push_back(line);
    }
    EngineResults const& expected = baseline("text", tokens);

    for (std::int64_t const chunk :
         kSanitized ? std::vector<std::int64_t>{64} : std::vector<std::int64_t>{7, 64, 512}) {
        EngineCase which;
        which.spp = GetParam().spp;
        which.kvp = GetParam().kvp;
        which.tp = GetParam().tp;
        which.chunk = chunk;
        which.max_batch = chunk == 64 ? 1 : 4;
        which.kv_policy = chunk == 7 ? schedule::KvPolicy::striped : schedule::KvPolicy::automatic;
        EngineOutcome const outcome = runner.run_on_loopback(which, videos);
        EXPECT_EQ(outcome.exit_code, 0);
        Comparison const comparison = compare(tokens, expected, outcome.results, 1e-3);
        for (std::string const& problem : comparison.problems) {
            ADD_FAILURE() << which.name() << ": " << problem;
        }
        EXPECT_GT(comparison.values, 200) << which.name();
        EXPECT_EQ(comparison.near_ties, 0) << which.name();
        for (JobLine const& job : videos) {
            EXPECT_EQ(outcome.results.at(job.id).prompt_tokens, expected.at(job.id).prompt_tokens);
        }
    }
}

// Stopped on this grid, and gone on with on another one.
TEST_P(VideoTokensGrid, AStopInBetweenChangesNothing) {
    std::vector<TokenId> const clip = random_tokens(11, 301);
    auto const file = write("clip.h5", clip);
    std::vector<JobLine> const videos{
        video_job("front", file, "What happens?", 9),
        video_job("middle", file, "Read this: {video} Who was it?", 9)};
    std::vector<JobLine> const tokens{token_job(videos[0], clip), token_job(videos[1], clip)};
    EngineResults const& expected = baseline("stop", tokens);
    EngineCase first;
    first.spp = GetParam().spp;
    first.kvp = GetParam().kvp;
    first.tp = GetParam().tp;
    first.chunk = 32;
    first.max_batch = 2;
    first.checkpoint_tokens = 100;
    EngineCase second = first;
    second.spp = GetParam().kvp;
    second.kvp = GetParam().tp + 1;
    second.tp = GetParam().spp;
    for (int const steps : kSanitized ? std::vector<int>{14} : std::vector<int>{4, 14}) {
        std::filesystem::path const queue = runner.new_queue(videos);
        EXPECT_EQ(runner.go_on_on_loopback(first, queue, stop_after(steps)).exit_code,
                  kExitRequeue);
        EngineOutcome const outcome = runner.go_on_on_loopback(second, queue);
        EXPECT_EQ(outcome.exit_code, 0);
        Comparison const comparison = compare(tokens, expected, outcome.results, 1e-3);
        EXPECT_TRUE(comparison.problems.empty()) << comparison.problems.front();
    }
}

INSTANTIATE_TEST_SUITE_P(Grids, VideoTokensGrid,
                         testing::Values(Grid{1, 1, 1}, Grid{2, 1, 1}, Grid{1, 2, 1}, Grid{1, 1, 2},
                                         Grid{2, 2, 1}),
                         [](testing::TestParamInfo<Grid> const& which) {
                             Grid const& grid = which.param;
                             return "spp" + std::to_string(grid.spp) + "kvp" +
                                    std::to_string(grid.kvp) + "tp" + std::to_string(grid.tp);
                         });

// The same words as a text job: the words around the clip fall into the same tokens on their own.
TEST_F(VideoTokensRun, ATextJobAgreesToo) {
    std::string const words = random_text(3, 80) + "end";
    std::vector<TokenId> const tokens =
        text.tokenizer.encode(words, text::SpecialTokens::plain_text).ids;
    std::vector<JobLine> const texts{question_job("a", words, "What is it about?", 6)};
    std::vector<JobLine> const videos{
        video_job("a", write("words.h5", tokens), "What is it about?", 6)};
    EngineResults const expected = runner.run_on_loopback(baseline_case(), texts).results;

    EngineCase which;
    which.kvp = 2;
    which.chunk = 64;
    EngineOutcome const outcome = runner.run_on_loopback(which, videos);

    EXPECT_EQ(outcome.results.at("a").prompt_tokens, expected.at("a").prompt_tokens);
    EXPECT_EQ(outcome.results.at("a").tokens, expected.at("a").tokens);
    Comparison const comparison = compare(texts, expected, outcome.results, 1e-3);
    EXPECT_TRUE(comparison.problems.empty()) << comparison.problems.front();
}

TEST_F(VideoTokensRun, Bf16RowsInABf16RunAreTheModelsOwn) {
    std::vector<TokenId> const clip = random_tokens(21, 150);
    std::vector<JobLine> const videos{
        video_job("a", write("bf16.h5", clip, VideoElement::bf16), "Why?")};
    std::vector<JobLine> const tokens{token_job(videos[0], clip)};
    EngineCase which;
    which.dtype = DType::bf16;
    which.chunk = 512;  // the same chunks on both sides, whatever their cuts
    which.block_slots = 256;
    which.deterministic = true;
    EngineResults const expected = runner.run_on_loopback(which, tokens).results;
    EXPECT_EQ(differences(expected, runner.run_on_loopback(which, videos).results), "");
}

TEST_F(VideoTokensRun, JobsOnOneFileShareItsBlocks) {
    std::vector<TokenId> const clip = random_tokens(31, 400);
    std::vector<JobLine> const videos{
        video_job("a", write("clip.h5", clip), "What happens?"),
        video_job("b", write("copy.h5", clip), "Who is there, and why?"),  // the same content
        video_job("c", runner.folder() / "clip.h5", "Say first {video} this")};
    std::vector<JobLine> tokens;
    for (JobLine const& job : videos) {
        tokens.push_back(token_job(job, clip));
    }
    EngineResults const expected = runner.run_on_loopback(baseline_case(), tokens).results;
    for (std::int64_t const max_batch : {1, 3}) {
        EngineCase which;
        which.kvp = 2;
        which.chunk = 64;
        which.max_batch = max_batch;
        std::atomic<std::int64_t> rows = 0;
        auto const count_rows = [&rows](int rank) {
            engine::RunObserver observer;
            if (rank == 0) {
                observer.step_begun = [&rows](schedule::StepPlan const& plan) {
                    for (schedule::PlanItem const& item : plan.items) {
                        rows += item.decode ? 0 : item.size();
                    }
                };
            }
            return observer;
        };
        EngineOutcome const outcome = runner.run_on_loopback(which, videos, count_rows);
        Comparison const comparison = compare(tokens, expected, outcome.results, 1e-3);
        EXPECT_TRUE(comparison.problems.empty()) << comparison.problems.front();
        std::int64_t prompts = 0;
        for (auto const& [id, result] : outcome.results) {
            prompts += result.prompt_tokens;
        }
        // The copy takes over six blocks of 64; what stands in front of the third clip makes it another sequence.
        EXPECT_EQ(prompts - rows, 6 * 64) << "batch " << max_batch;
    }
}

// T1: neither company nor sharing changes a bit.
TEST_F(VideoTokensRun, DeterministicRunsGiveTheSameBitsInAnyCompany) {
    std::vector<TokenId> const clip = random_tokens(61, 333);
    auto const path = write("clip.h5", clip);
    std::vector<JobLine> const jobs{
        video_job("a", path, "What happens?"), generate_job("between", random_tokens(62, 170), 6),
        video_job("b", path, "Who is there, and why?"), video_job("c", path, "First {video} this")};
    EngineCase which;
    which.deterministic = true;
    which.kvp = 2;
    which.tp = 3;
    which.chunk = 32;
    which.kv_policy = schedule::KvPolicy::striped;
    EngineResults alone;
    for (JobLine const& job : jobs) {
        alone.merge(runner.run_on_loopback(which, {job}).results);
    }
    which.max_batch = 4;
    EXPECT_EQ(differences(alone, runner.run_on_loopback(which, jobs).results), "");
}

TEST_F(VideoTokensRun, ABadFileIsItsJobsErrorAlone) {
    std::vector<TokenId> const clip = random_tokens(41, 200);
    auto const good = write("good.h5", clip);
    VideoTokensSpec spec;
    spec.shape = {10, width() + 1};
    spec.values = random_rows(1, 10 * (width() + 1));
    write_video_tokens(spec, runner.folder() / "wide.h5");
    spec.shape = {10, width()};
    spec.values = random_rows(1, 10 * width());
    spec.model = "another";
    write_video_tokens(spec, runner.folder() / "other.h5");
    spec.model.clear();
    spec.values[5] = std::numeric_limits<float>::quiet_NaN();
    write_video_tokens(spec, runner.folder() / "nan.h5");
    std::filesystem::copy_file(good, runner.folder() / "cut.h5");
    std::filesystem::resize_file(runner.folder() / "cut.h5",
                                 std::filesystem::file_size(good) * 2 / 3);
    std::vector<TokenId> const too_many = random_tokens(42, 9000);
    auto const long_file = write("long.h5", too_many);
    std::vector<JobLine> const jobs{video_job("before", good, "Why?"),
                                    video_job("wide", runner.folder() / "wide.h5", "Why?"),
                                    video_job("other", runner.folder() / "other.h5", "Why?"),
                                    video_job("nan", runner.folder() / "nan.h5", "Why?"),
                                    video_job("cut", runner.folder() / "cut.h5", "Why?"),
                                    video_job("missing", runner.folder() / "missing.h5", "Why?"),
                                    video_job("long", long_file, "Why?"),
                                    video_job("after", good, "Why?")};
    EngineCase which;
    which.max_batch = 4;

    EngineOutcome const outcome = runner.run_on_loopback(which, jobs);

    EXPECT_EQ(outcome.exit_code, 1);
    EngineResults const& results = outcome.results;
    EXPECT_EQ(results.at("wide").error_code, "bad_video_tokens");
    EXPECT_EQ(results.at("other").error_code, "bad_video_tokens");
    EXPECT_EQ(results.at("nan").error_code, "non_finite");
    EXPECT_EQ(results.at("cut").error_code, "unreadable");
    EXPECT_EQ(results.at("missing").error_code, "unreadable");
    EXPECT_EQ(results.at("long").error_code, "too_long");
    EXPECT_TRUE(results.at("before").ok);
    EXPECT_EQ(results.at("before").tokens, results.at("after").tokens);
}

// The file changes under the run: its rows come as NaN, and the job that reads them fails with the reason.
TEST_F(VideoTokensRun, AFileThatChangesFailsItsJobAlone) {
    std::vector<TokenId> const clip = random_tokens(51, 900);
    for (std::int64_t const spp : {1, 2}) {
        auto const fragile = write("fragile.h5", clip);
        std::vector<JobLine> const jobs{
            generate_job("before", random_tokens(52, 90), 4), video_job("video", fragile, "Why?"),
            generate_job("after", random_tokens(53, 300), 4),
            video_job("solid", write("solid.h5", random_tokens(54, 130)), "Why?")};
        std::vector<JobLine> good = jobs;
        good.erase(good.begin() + 1);
        EngineCase which;
        which.spp = spp;
        which.kvp = 2;
        which.chunk = 32;
        which.max_batch = 2;
        which.kv_bytes = std::int64_t{1} << 20;  // the blocks of the failed job are used again
        EngineResults const expected = runner.run_on_loopback(which, good).results;
        auto const touch = [&fragile](int rank) {
            engine::RunObserver observer;
            if (rank == 0) {
                observer.step_begun = [&fragile,
                                       done = false](schedule::StepPlan const& plan) mutable {
                    bool const reads = !plan.items.empty() && plan.items.back().sequence == 1;
                    if (reads && !std::exchange(done, true)) {
                        std::filesystem::last_write_time(
                            fragile,
                            std::filesystem::last_write_time(fragile) + std::chrono::seconds(9));
                    }
                };
            }
            return observer;
        };

        EngineOutcome outcome = runner.run_on_loopback(which, jobs, touch);

        EXPECT_EQ(outcome.exit_code, 1);
        EXPECT_EQ(outcome.results.at("video").error_code, "unreadable");
        outcome.results.erase("video");
        Comparison const comparison = compare(good, expected, outcome.results, 1e-3);
        EXPECT_TRUE(comparison.problems.empty()) << comparison.problems.front();
    }
}

}  // namespace
}  // namespace longhaul::test
