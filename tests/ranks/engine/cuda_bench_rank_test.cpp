// A rank of a grid whose peers are modelled, on a GPU: its decode steps run as graphs with the messages in them.

#include "device/gpu_info.hpp"
#include "comm/loopback.hpp"
#include "engine/bench_rank.hpp"
#include "support/models/tiny_model.hpp"

#include <gtest/gtest.h>

#include <unistd.h>
#include <filesystem>
#include <string>

namespace longhaul::test {
namespace {

class CudaBenchRank : public testing::TestWithParam<comm::GridShape> {
  protected:
    CudaBenchRank()
        : folder_(std::filesystem::temp_directory_path() /
                  ("longhaul-bench-rank-" + std::to_string(::getpid()))) {
        std::filesystem::create_directories(folder_);
        write_file(folder_ / "config.json", tiny_config_json({}));
    }
    ~CudaBenchRank() override { std::filesystem::remove_all(folder_); }
    void SetUp() override {
        if (device::list_gpus().empty()) {
            GTEST_SKIP() << "no GPU here";
        }
    }
    [[nodiscard]] engine::BenchRankOptions options(std::int64_t rank) const {
        engine::BenchRankOptions options;
        options.model = folder_;
        options.random_weights = 3;
        options.exec.backend = kernels::Backend::cuda;
        options.chunk = 64;
        options.sequences = 3;
        options.slots = 3000;
        options.emulated = engine::EmulatedRank{GetParam(), rank, {20e-6, 1e10}};
        return options;
    }

    std::filesystem::path folder_;
};

TEST_P(CudaBenchRank, PrefillsAndDecodesWithFiniteNumbers) {
    for (std::int64_t rank = 0; rank < GetParam().product(); ++rank) {
        comm::run_loopback(1, [&](comm::Communicator& world) {
            engine::BenchRank bench(world, options(rank));
            bench.fill_kv(1);
            bench.admit(0, 200, 60, 0);
            bench.admit(1, 1500, 60, 1499);  // striped over KVP
            bench.admit(2, 100, 60, 99);     // on one coordinate
            std::int64_t tokens = 0;
            for (int step = 0; step < 40; ++step) {
                bench.watch_parts(step >= 30);
                tokens += bench.step().tokens;  // throws where a logit is not finite
            }
            bench.wait();
            EXPECT_GT(tokens, 100);
            using engine::StepPart;
            EXPECT_GT(bench.counters().of(StepPart::attention), 0.0);
            EXPECT_GT(bench.counters().of(StepPart::linear), 0.0);
            EXPECT_GT(bench.counters().of(StepPart::messages), 10 * 20e-6);
        });
    }
}

INSTANTIATE_TEST_SUITE_P(Grids, CudaBenchRank,
                         testing::Values(comm::GridShape{1, 1, 1, 3}, comm::GridShape{1, 1, 2, 1},
                                         comm::GridShape{1, 2, 2, 2}),
                         [](testing::TestParamInfo<comm::GridShape> const& which) {
                             return "spp" + std::to_string(which.param.spp) + "kvp" +
                                    std::to_string(which.param.kvp) + "tp" +
                                    std::to_string(which.param.tp);
                         });

}  // namespace
}  // namespace longhaul::test
