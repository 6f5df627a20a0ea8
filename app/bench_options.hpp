#pragma once

#include "base/types.hpp"
#include "kernels/exec_context.hpp"
#include "engine/bench_rank.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace longhaul::app {

/// What `longhaul bench` is asked for. Lists give a row for each of their numbers.
struct BenchOptions {
    std::string what;  ///< attention, gemm, prefill, decode, step, comm
    kernels::Backend backend = kernels::Backend::cpu;
    DType dtype = DType::bf16;
    int threads = 1;
    int repeat = 7;

    std::int64_t num_heads = 32;
    std::int64_t num_kv_heads = 8;
    std::int64_t head_dim = 128;
    std::vector<std::int64_t> queries;
    std::vector<std::int64_t> context;

    std::filesystem::path model;
    std::optional<std::uint64_t> random_weights;
    std::vector<std::int64_t> rows;
    std::vector<std::int64_t> tokens;
    std::int64_t chunk = 512;
    std::int64_t batch = 1;
    std::int64_t steps = 32;
    std::int64_t block_slots = 128;
    bool random_kv = false;
    bool parts = false;
    std::optional<engine::EmulatedRank> emulated;

    std::vector<std::int64_t> bytes;

    std::optional<std::filesystem::path> json;
};

/// Nothing when help was asked for. Throws ValidationError with the remedy.
[[nodiscard]] std::optional<BenchOptions> parse_bench_options(
    std::vector<std::string> const& words);
[[nodiscard]] std::string bench_help();

}  // namespace longhaul::app
