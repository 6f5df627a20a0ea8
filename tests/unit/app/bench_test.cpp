#include "app/bench.hpp"

#include "base/error.hpp"
#include "app/bench_options.hpp"
#include "support/models/tiny_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <unistd.h>
#include <filesystem>
#include <fstream>

namespace longhaul::app {
namespace {

using Words = std::vector<std::string>;

class Bench : public testing::Test {
  protected:
    Bench()
        : folder_(std::filesystem::temp_directory_path() /
                  ("longhaul-bench-" + std::to_string(::getpid()))) {
        std::filesystem::create_directories(folder_);
        test::write_file(folder_ / "config.json", test::tiny_config_json({}));
    }
    ~Bench() override { std::filesystem::remove_all(folder_); }

    /// The file that --json wrote.
    nlohmann::json run(Words words) {
        std::filesystem::path const file = folder_ / "out.json";
        for (char const* word : {"--backend", "cpu", "--threads", "1", "--repeat", "2", "--json"}) {
            words.emplace_back(word);
        }
        words.push_back(file.string());
        testing::internal::CaptureStdout();
        int const code = bench_command(words);
        std::string const table = testing::internal::GetCapturedStdout();
        EXPECT_EQ(code, 0);
        EXPECT_THAT(table, testing::HasSubstr("square product"));
        std::ifstream stream(file);
        nlohmann::json json = nlohmann::json::parse(stream);
        EXPECT_EQ(json["bench"], words[0]);
        EXPECT_EQ(json["backend"], "cpu");
        EXPECT_GT(json["ceilings"]["bytes_per_s"], 1e8);
        EXPECT_GT(json["ceilings"]["flop_per_s"], 1e8);
        return json;
    }
    nlohmann::json run_model(Words words) {
        for (std::string const& word :
             {std::string("--model"), folder_.string(), std::string("--random-weights"),
              std::string("3"), std::string("--chunk"), std::string("32")}) {
            words.push_back(word);
        }
        return run(words)["rows"];
    }

    std::filesystem::path folder_;
};

TEST_F(Bench, AttentionHasARowForEveryCombination) {
    nlohmann::json const rows = run({"attention", "--heads", "6/2", "--head-dim", "64", "--queries",
                                     "1,40", "--context", "100,1000"})["rows"];
    ASSERT_EQ(rows.size(), 4);
    EXPECT_EQ(rows[0]["bound_by"], "memory");
    EXPECT_EQ(rows[3]["bound_by"], "product");
    for (nlohmann::json const& row : rows) {
        double const seconds = row["ms"].get<double>() * 1e-3;
        double const flop =
            4.0 * 6 * 64 * row["queries"].get<double>() * row["context"].get<double>();
        EXPECT_NEAR(row["tflop_per_s"].get<double>() * 1e12 * seconds / flop, 1.0, 1e-6);
        double const bytes = 2.0 * 2 * 64 * 2 * row["context"].get<double>();
        EXPECT_NEAR(row["kv_tb_per_s"].get<double>() * 1e12 * seconds / bytes, 1.0, 1e-6);
        EXPECT_GT(row["share"].get<double>(), 0.0);
    }
}

TEST_F(Bench, GemmTakesTheShapeAlone) {
    nlohmann::json const rows =
        run({"gemm", "--model", folder_.string(), "--rows", "1,33"})["rows"];
    ASSERT_EQ(rows.size(), 10);
    EXPECT_EQ(rows[0]["layer"], "qkv");
    EXPECT_EQ(rows[0]["n"], (9 + 2 * 3) * 16);
    EXPECT_EQ(rows[9]["layer"], "lm_head");
    EXPECT_EQ(rows[9]["n"], 271);
}

TEST_F(Bench, PrefillCountsTheCausalHalf) {
    nlohmann::json const rows = run_model({"prefill", "--tokens", "70,128"});
    ASSERT_EQ(rows.size(), 2);
    for (nlohmann::json const& row : rows) {
        double const tokens = row["tokens"].get<double>();
        double const heads = 9 * 16;
        double const layers = 5 * 72 * (2 * heads + 2 * 3 * 16 + 3 * 88);
        double const flop =
            2 * layers * tokens + 2.0 * 271 * 72 + 4 * 5 * heads * tokens * (tokens + 1) / 2;
        EXPECT_NEAR(row["tflop_per_s"].get<double>() * 1e12 * row["ttft_s"].get<double>() / flop,
                    1.0, 1e-6);
    }
}

TEST_F(Bench, DecodesBehindAContextThatNobodyComputed) {
    nlohmann::json const rows = run_model(
        {"decode", "--kv", "random", "--context", "1000,20000", "--steps", "5", "--batch", "2"});
    ASSERT_EQ(rows.size(), 2);
    EXPECT_EQ(rows[1]["context"], 20000);
    EXPECT_EQ(rows[1]["kv"], "random");
    EXPECT_GT(rows[1]["tbt_ms"].get<double>(), 0.0);
    double const kv = 2.0 * 5 * 3 * 16 * 2 * 2 * 19000;
    EXPECT_NEAR(
        (rows[1]["gb_per_token_step"].get<double>() - rows[0]["gb_per_token_step"].get<double>()) *
            1e9 / kv,
        1.0, 1e-6);
}

TEST_F(Bench, DecodesBehindAPrefill) {
    nlohmann::json const rows =
        run_model({"decode", "--context", "100", "--steps", "4", "--batch", "3"});
    EXPECT_EQ(rows[0]["kv"], "prefill");
}

TEST_F(Bench, StepsMixDecodesAndAChunk) {
    nlohmann::json const rows =
        run_model({"step", "--context", "10,100", "--steps", "3", "--batch", "3"});
    ASSERT_EQ(rows.size(), 2);
    for (nlohmann::json const& row : rows) {
        EXPECT_NEAR(row["rows_per_s"].get<double>() * row["step_ms"].get<double>() * 1e-3, 35.0,
                    1e-6);
    }
}

TEST_F(Bench, SharesOfAnEmulatedGridAddUpToTheModel) {
    auto const row_of = [&](Words extra) {
        Words words{"decode", "--kv", "random", "--context", "5000", "--steps", "3"};
        words.insert(words.end(), extra.begin(), extra.end());
        return run_model(words)[0];
    };
    nlohmann::json const whole = row_of({});
    EXPECT_FALSE(whole.contains("emulated"));
    double sum = 0.0;
    for (int rank = 0; rank < 12; ++rank) {
        nlohmann::json const row = row_of({"--grid", "2x2x3", "--as-rank", std::to_string(rank)});
        EXPECT_EQ(row["emulated"], "rank " + std::to_string(rank) + " of 2x2x3");
        EXPECT_GT(row["messages_ms"].get<double>(), 0.0);
        sum += row["gb_per_token_step"].get<double>();
    }
    // Both KVP coordinates read the projections of queries, keys and values.
    double const twice = 2.0 * 5 * 72 * (9 + 2 * 3) * 16 * 1e-9;
    EXPECT_NEAR(sum / (whole["gb_per_token_step"].get<double>() + twice), 1.0, 1e-6);
}

TEST_F(Bench, AnEmulatedRankWaitsForItsMessages) {
    auto const ttft_s = [&](std::string const& latency_us) {
        return run_model({"prefill", "--tokens", "96", "--grid", "1x1x2", "--latency-us",
                          latency_us})[0]["ttft_s"]
            .get<double>();
    };
    // 3 chunks, in each 1 sum of embeddings and 2 of each of 5 layers, each of two hops; one gather of logits.
    EXPECT_GE(ttft_s("5000"), (3 * 11 * 2 + 1) * 5e-3);
}

TEST_F(Bench, StagesBehindAreCounted) {
    nlohmann::json const row = run_model({"prefill", "--tokens", "256", "--grid", "3x1x1",
                                          "--as-rank", "1", "--latency-us", "4000", "--parts"})[0];
    // 8 chunks come and go; the last one twice more.
    EXPECT_GE(row["ttft_s"].get<double>(), (8 + 2) * 2 * 4e-3);
    EXPECT_GT(row["attention_ms"].get<double>(), 0.0);
}

TEST_F(Bench, RefusesWhatItCannotMeasure) {
    auto const refusal = [](Words const& words) {
        try {
            static_cast<void>(bench_command(words));
        } catch (ValidationError const& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    using testing::HasSubstr;
    EXPECT_THAT(refusal({}), HasSubstr("bench --help"));
    EXPECT_THAT(refusal({"network"}), HasSubstr("'network'"));
    EXPECT_THAT(refusal({"attention", "--heads", "9/2"}), HasSubstr("must divide"));
    EXPECT_THAT(refusal({"attention", "--head-dim", "12"}), HasSubstr("multiple of 8"));
    EXPECT_THAT(refusal({"attention", "--queries", "1,,2"}), HasSubstr("--queries"));
    EXPECT_THAT(refusal({"attention", "--queries", "0"}), HasSubstr("--queries"));
    EXPECT_THAT(refusal({"attention", "512"}), HasSubstr("'512'"));
    EXPECT_THAT(refusal({"decode"}), HasSubstr("--model is missing"));
    EXPECT_THAT(refusal({"decode", "--kv", "none", "--model", "m"}), HasSubstr("--kv none"));
    EXPECT_THAT(refusal({"decode", "--backend", "cpu", "--model", folder_.string()}),
                HasSubstr("--random-weights"));
    auto const grid = [&](char const* shape, char const* rank) {
        return refusal({"decode", "--backend", "cpu", "--model", folder_.string(),
                        "--random-weights", "1", "--grid", shape, "--as-rank", rank});
    };
    EXPECT_THAT(grid("2x2", "0"), HasSubstr("stages x KVP x TP"));
    EXPECT_THAT(grid("1x1x2", "2"), HasSubstr("--as-rank 2"));
    EXPECT_THAT(grid("1x1x4", "0"), HasSubstr("--tp 4"));
    EXPECT_THAT(grid("9x1x1", "0"), HasSubstr("--spp 9"));
    EXPECT_THAT(refusal({"gemm", "--model", "m", "--grid", "1x1x2"}), HasSubstr("not for gemm"));
    EXPECT_THAT(refusal({"comm", "--parts"}), HasSubstr("not for comm"));
    EXPECT_THAT(refusal({"decode", "--model", "m", "--as-rank", "0"}), HasSubstr("needs --grid"));
    EXPECT_THAT(refusal({"step", "--model", "m", "--bytes", "8K"}), HasSubstr("not for step"));
    EXPECT_THAT(
        refusal({"decode", "--backend", "cpu", "--model", folder_.string(), "--random-weights", "1",
                 "--kv", "random", "--context", "2000000000", "--batch", "64"}),
        HasSubstr("less context"));
}

TEST(BenchOptions, TakesByteSizes) {
    auto const bytes = [](std::string const& text) {
        return parse_bench_options({"comm", "--backend", "cpu", "--bytes", text}).value().bytes;
    };
    EXPECT_THAT(bytes("512"), testing::ElementsAre(512));
    EXPECT_THAT(bytes("8K,1MiB,64G"), testing::ElementsAre(8192, 1 << 20, std::int64_t{64} << 30));
    for (char const* const wrong : {"", "8K,", ",8K", "0", "-1", "8Q", "many", "65G", "9999999T"}) {
        EXPECT_THROW(static_cast<void>(bytes(wrong)), ValidationError) << wrong;
    }
}

TEST(BenchHelp, HasExamples) {
    EXPECT_THAT(bench_help(), testing::HasSubstr("Examples:"));
    EXPECT_FALSE(parse_bench_options({"decode", "--help"}).has_value());
}

}  // namespace
}  // namespace longhaul::app
