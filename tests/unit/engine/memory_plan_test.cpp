#include "engine/memory_plan.hpp"

#include "base/error.hpp"
#include "comm/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace longhaul::engine {
namespace {

constexpr std::int64_t kGiB = std::int64_t{1} << 30;

/// Of the only rank of a GPU with room for everything.
RankMemory plan_beside_gpu(std::int64_t host_bytes, std::optional<std::int64_t> buffer) {
    ModelConfig config;
    config.num_layers = 2;
    config.hidden_dim = 64;
    config.ffn_dim = 96;
    config.num_heads = 4;
    config.num_kv_heads = 2;
    config.head_dim = 16;
    config.vocab_size = 300;
    RunOptions options;
    options.backend = kernels::Backend::cuda;
    options.chunk = 64;
    options.checkpoint_buffer = buffer;
    comm::ProcessGrid grid(comm::GridShape{}, 0, {}, nullptr);
    return plan_memory(grid, config, model::make_partition(config, {}, options.chunk), options,
                       {8 * kGiB, 0, "test", host_bytes})
        .mine;
}

TEST(MemoryPlan, CheckpointBuffersBesideAGpuAreOfTheHostsMemory) {
    EXPECT_EQ(plan_beside_gpu(1024 * kGiB, {}).checkpoint_buffer, 4 * kGiB);
    EXPECT_EQ(plan_beside_gpu(32 * kGiB, {}).checkpoint_buffer, 2 * kGiB);
    EXPECT_EQ(plan_beside_gpu(32 * kGiB, 9 * kGiB).checkpoint_buffer, 9 * kGiB);
    // None of it is the GPU's.
    EXPECT_EQ(plan_beside_gpu(32 * kGiB, 9 * kGiB).kv_blocks,
              plan_beside_gpu(32 * kGiB, kGiB).kv_blocks);
}

TEST(MemoryPlan, RefusesACheckpointBufferThatTheHostHasNoRoomFor) {
    try {
        static_cast<void>(plan_beside_gpu(8 * kGiB, 9 * kGiB));
        FAIL() << "planned";
    } catch (SetupFailed const& failure) {
        EXPECT_THAT(failure.what(), testing::HasSubstr("--checkpoint-buffer 9663676416"));
        EXPECT_THAT(failure.what(), testing::HasSubstr("8192 MiB"));
    }
}

}  // namespace
}  // namespace longhaul::engine
