#include "engine/run_record.hpp"

#include "base/version.hpp"
#include "kernels/library_version.hpp"

#include <fmt/chrono.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <ctime>

namespace longhaul::engine {
namespace {

using Json = nlohmann::ordered_json;

std::string utc(std::chrono::system_clock::time_point time) {
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                       fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

// NCCL is loaded by asking for it.
Json versions(bool on_gpu) {
    return {
        {"longhaul", kVersion},
        {"compiler", __VERSION__},
        {"mpi", comm::MpiRuntime::library_version()},
        {"onednn", kernels::onednn_version()},
        {"nccl", on_gpu ? comm::nccl_status().version : ""},
        {"fmt",
         fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100)},
        {"nlohmann_json", fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR,
                                      NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH)}};
}

Json memory_of_ranks(MemoryPlan const& plan, comm::GridShape const& shape) {
    Json ranks = Json::array();
    for (std::size_t i = 0; i < plan.ranks.size(); ++i) {
        RankMemory const& rank = plan.ranks[i];
        auto const kvp = comm::coord_of(shape, static_cast<std::int64_t>(i)).kvp;
        std::int64_t const blocks =
            std::min(rank.kv_blocks, plan.capacity[static_cast<std::size_t>(kvp)]);
        ranks.push_back({{"budget_bytes", rank.budget},
                         {"weights_bytes", rank.weights},
                         {"workspace_bytes", rank.workspace},
                         {"kv_bytes", blocks * rank.bytes_per_block}});
    }
    return ranks;
}

}  // namespace

std::string run_record(RunSetup& setup, RunOptions const& options, StepCounters const& counters,
                       report::ProgressCounters const& progress, report::RunSummary const& summary,
                       double wall_s) {
    auto const ended = std::chrono::system_clock::now();
    auto const took = std::chrono::duration_cast<std::chrono::system_clock::duration>(
        std::chrono::duration<double>(wall_s));
    comm::GridShape const& shape = setup.grid->shape();
    ModelConfig const& config = setup.file->config();
    Json record;
    record["longhaul"] = kVersion;
    record["versions"] = versions(setup.gpu != nullptr);
    record["started"] = utc(ended - took);
    record["ended"] = utc(ended);
    record["exit_code"] = summary.jobs_failed == 0 ? 0 : 1;
    record["model"] = {{"path", options.model.string()},
                       {"name", config.name},
                       {"format", setup.file->format()},
                       {"fingerprint", setup.file->fingerprint()}};
    record["options"] = options.describe();
    record["grid"] = {
        {"replicas", shape.replicas}, {"spp", shape.spp}, {"kvp", shape.kvp}, {"tp", shape.tp}};
    record["threads_per_rank"] = setup.exec.threads;
    record["transport"] = setup.grid->world().name();
    record["memory"] = {{"weights_bytes", setup.memory.mine.weights},
                        {"workspace_bytes", setup.memory.mine.workspace},
                        {"kv_blocks_per_coordinate", setup.memory.capacity},
                        {"kv_tokens_per_replica", setup.memory.kv_slots(options.block_slots)},
                        {"ranks", memory_of_ranks(setup.memory, shape)}};
    record["jobs"] = {{"ok", summary.jobs_ok},
                      {"failed", summary.jobs_failed},
                      {"skipped", summary.jobs_skipped}};
    record["tokens"] = {{"prompt", summary.prompt_tokens},
                        {"shared", summary.shared_tokens},
                        {"generated", summary.generated_tokens},
                        {"computed", progress.entries_computed}};
    record["timings_s"] = {{"wall", wall_s}, {"load", setup.load_s}, {"steps", counters.total_s}};
    if (setup.checkpointer) {
        record["checkpoint"] = {{"bytes_written", setup.checkpointer->bytes_written()},
                                {"stalled_s", setup.checkpointer->stalled_s()}};
    }
    record["rank0"] = {{"steps", counters.steps},
                       {"empty_steps", counters.empty_steps},
                       {"prefill_rows", counters.prefill_rows},
                       {"decode_rows", counters.decode_rows},
                       {"pipeline_wait_s", counters.pipeline_wait_s},
                       {"inputs_wait_s", counters.inputs_wait_s}};
    if (!setup.gpu) {
        record["rank0"].update({{"attention_s", counters.of(StepPart::attention)},
                                {"linear_s", counters.of(StepPart::linear)},
                                {"head_s", counters.of(StepPart::head)},
                                {"communication_s", counters.of(StepPart::messages)}});
    }
    // Paths and the model's name may hold any bytes.
    return record.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace longhaul::engine
