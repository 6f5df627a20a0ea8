// The real model against Hugging Face transformers (golden/README.md): teacher-forced log-probabilities and greedy tokens.
#include "system/support/golden.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace longhaul::system_test {
namespace {

constexpr double kF32Tolerance = 2e-3;
constexpr double kBf16Factor = 1.5;
constexpr int kLongestList = 1024;  // of `logprobs`

Json ids_job(std::string const& id, std::vector<std::int64_t> const& ids) {
    return {{"id", id}, {"kind", "text"}, {"token_ids", ids}};
}

Json score_job(Golden::Prompt const& prompt) {
    Json job = ids_job("score " + prompt.name, prompt.ids_and_steps(prompt.steps.size()));
    job["kind"] = "score";
    return job;
}

Json generating_job(std::string const& id, std::vector<std::int64_t> const& ids,
                    std::size_t max_tokens) {
    Json job = ids_job(id, ids);
    job["ignore_eos"] = true;
    job["max_tokens"] = max_tokens;
    job["logprobs"] = kLongestList;
    return job;
}

// Lists of the most probable tokens hardly ever have the fixed ids. Where the text before them is short, each one's number
// can be had as the last one of a score job.
struct FixedProbe {
    std::string id;
    Json job;
    double golden = 0.0;
};

std::vector<FixedProbe> probe_fixed_ids(Golden::Prompt const& prompt,
                                        std::vector<std::size_t> const& steps) {
    std::vector<FixedProbe> probes;
    for (std::size_t const step : steps) {
        auto const& watched = prompt.steps[step].watched;
        for (std::size_t i = Golden::kTop; i < watched.size(); ++i) {
            std::vector<std::int64_t> ids = prompt.ids_and_steps(step);
            ids.push_back(watched[i].first);
            std::string const id = fmt::format("fixed {} step {}", watched[i].first, step);
            Json job = ids_job(id, ids);
            job["kind"] = "score";
            probes.push_back({id, std::move(job), watched[i].second});
        }
    }
    return probes;
}

class GoldenModel : public ProgramTest {};

// The set-up of the others in ctest: numbers mean something only for the very file they were made from.
TEST_F(GoldenModel, IsThere) {
    if (!std::filesystem::exists(Golden::model_path())) {
        GTEST_SKIP() << Golden::model_path() << " is missing; scripts/fetch_model.sh fetches it";
    }
    auto const sum = start_command({"sha256sum", Golden::model_path().string()})->wait(60);
    EXPECT_EQ(sum.out.substr(0, 64), Golden::load(0).sha256)
        << "another model; delete it and run scripts/fetch_model.sh";
}

class GoldenRun : public ProgramTest {
  protected:
    void SetUp() override {
        model = Golden::model_path();
        if (!std::filesystem::exists(model)) {
            GTEST_SKIP() << model << " is missing; scripts/fetch_model.sh fetches it";
        }
    }

    void run_queue(std::vector<Json> const& jobs, Launch launch) {
        write_queue(jobs);
        launch.limit_s = 240;
        launch.options.insert(launch.options.end(), {"--kv-memory", "1G"});
        ASSERT_TRUE(ended_with(0, run(launch), launch.limit_s));
    }

    void compare_f32(Golden const& golden, Launch launch,
                     std::vector<std::size_t> const& probed_steps) {
        std::vector<FixedProbe> const probes =
            probe_fixed_ids(golden.prompts.front(), probed_steps);
        std::vector<Json> jobs;
        for (Golden::Prompt const& prompt : golden.prompts) {
            jobs.push_back(score_job(prompt));
            jobs.push_back(generating_job(prompt.name, prompt.ids, prompt.steps.size()));
        }
        for (FixedProbe const& probe : probes) {
            jobs.push_back(probe.job);
        }
        launch.options.insert(launch.options.end(), {"--dtype", "f32", "--max-batch", "16"});
        ASSERT_NO_FATAL_FAILURE(run_queue(jobs, launch));

        Results const all = results();
        Comparison comparison;
        for (Golden::Prompt const& prompt : golden.prompts) {
            SCOPED_TRACE(prompt.name);
            comparison.add_scores(prompt, all.by_id.at("score " + prompt.name));
            comparison.add_generated(prompt, all.by_id.at(prompt.name));
        }
        for (FixedProbe const& probe : probes) {
            comparison.fixed.add(all.by_id.at(probe.id).at("logprobs").back().get<double>(),
                                 probe.golden);
        }
        std::printf("f32, %zu prompts:\n%s", golden.prompts.size(), comparison.text().c_str());
        EXPECT_EQ(comparison.wrong_tokens, 0);
        EXPECT_EQ(comparison.top.num_missing(), 0U);
        EXPECT_GE(comparison.fixed.count(), probes.size());
        for (Differences const* const differences :
             {&comparison.prompt, &comparison.forced, &comparison.chosen, &comparison.top,
              &comparison.fixed}) {
            EXPECT_LE(differences->max(), kF32Tolerance) << comparison.text();
        }
    }
};

TEST_F(GoldenRun, F32OnOneRank) { compare_f32(Golden::load(10'000), {.threads = 2}, {0, 20}); }

struct GridCase {
    char const* name;
    Words options;
    int ranks;
    std::size_t max_tokens;  ///< of the prompts
};

void PrintTo(GridCase const& grid, std::ostream* out) { *out << grid.name; }

class GoldenGrid : public GoldenRun, public ::testing::WithParamInterface<GridCase> {};

TEST_P(GoldenGrid, F32) {
    GridCase const& grid = GetParam();
    compare_f32(Golden::load(grid.max_tokens), {.options = grid.options, .ranks = grid.ranks}, {});
}

INSTANTIATE_TEST_SUITE_P(
    Of, GoldenGrid,
    ::testing::Values(
        GridCase{"3x1x1", {"--replicas", "1", "--spp", "3"}, 3, 515},
        GridCase{"2x1x2", {"--replicas", "1", "--spp", "2", "--tp", "2"}, 4, 130},
        GridCase{"2x2x2", {"--replicas", "1", "--spp", "2", "--kvp", "2", "--tp", "2"}, 8, 515}),
    [](auto const& grid) { return std::string(grid.param.name); });

void expect_within(Differences const& ours, Golden::Spread const& theirs, char const* what) {
    EXPECT_GT(ours.count(), 0U) << what;
    EXPECT_LE(ours.spread().mean, kBf16Factor * theirs.mean) << what;
    EXPECT_LE(ours.spread().p99, kBf16Factor * theirs.p99) << what;
}

// The bound is that of transformers' own bfloat16 on the same prompts. The golden tokens are forced at every step: by a
// score job everywhere, and on the shorter prompts by one job a step, which has the other tokens' numbers as well.
TEST_F(GoldenRun, Bf16OnOneRank) {
    constexpr std::size_t kSteppedPrompt = 515;
    Golden const golden = Golden::load(10'000);
    auto const step_id = [](Golden::Prompt const& prompt, std::size_t step) {
        return fmt::format("{} step {}", prompt.name, step);
    };
    std::vector<Json> jobs;
    for (Golden::Prompt const& prompt : golden.prompts) {
        jobs.push_back(score_job(prompt));
        for (std::size_t s = 0; s < prompt.steps.size() && prompt.ids.size() <= kSteppedPrompt;
             ++s) {
            jobs.push_back(generating_job(step_id(prompt, s), prompt.ids_and_steps(s), 1));
        }
    }
    ASSERT_NO_FATAL_FAILURE(
        run_queue(jobs, {.options = {"--dtype", "bf16", "--max-batch", "16"}, .threads = 2}));

    Results const all = results();
    Comparison comparison;
    for (Golden::Prompt const& prompt : golden.prompts) {
        SCOPED_TRACE(prompt.name);
        comparison.add_scores(prompt, all.by_id.at("score " + prompt.name));
        for (std::size_t s = 0; s < prompt.steps.size() && prompt.ids.size() <= kSteppedPrompt;
             ++s) {
            comparison.add_step(prompt.steps[s],
                                all.by_id.at(step_id(prompt, s)).at("logprobs").at(0));
        }
    }
    std::printf("bf16:\n%s", comparison.text().c_str());
    EXPECT_EQ(comparison.prompt.count(), 8680U);
    EXPECT_EQ(comparison.forced.count(), 6U * 48U);
    EXPECT_EQ(comparison.top.num_missing(), 0U);
    expect_within(comparison.prompt, golden.bf16_prompt, "prompt tokens");
    expect_within(comparison.forced, golden.bf16_steps, "forced tokens");
    expect_within(comparison.top, golden.bf16_steps, "top 16");
    expect_within(comparison.fixed, golden.bf16_steps, "fixed ids");
}

}  // namespace
}  // namespace longhaul::system_test
