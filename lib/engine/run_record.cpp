#include "engine/run_record.hpp"

#include "base/version.hpp"

#include <nlohmann/json.hpp>

namespace longhaul::engine {

std::string run_record(RunSetup& setup, RunOptions const& options, StepCounters const& counters,
                       report::RunSummary const& summary, double wall_s) {
    using Json = nlohmann::ordered_json;
    comm::GridShape const& shape = setup.grid->shape();
    ModelConfig const& config = setup.file->config();
    Json record;
    record["longhaul"] = kVersion;
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
                        {"kv_tokens_per_replica", setup.memory.kv_slots(options.block_slots)}};
    record["jobs"] = {{"ok", summary.jobs_ok},
                      {"failed", summary.jobs_failed},
                      {"skipped", summary.jobs_skipped}};
    record["tokens"] = {{"prompt", summary.prompt_tokens},
                        {"shared", summary.shared_tokens},
                        {"generated", summary.generated_tokens}};
    record["timings_s"] = {{"wall", wall_s}, {"load", setup.load_s}, {"steps", counters.total_s}};
    record["rank0"] = {{"steps", counters.steps},
                       {"empty_steps", counters.empty_steps},
                       {"prefill_rows", counters.prefill_rows},
                       {"decode_rows", counters.decode_rows},
                       {"attention_s", counters.attention_s},
                       {"linear_s", counters.linear_s},
                       {"head_s", counters.head_s},
                       {"communication_s", counters.communication_s},
                       {"pipeline_wait_s", counters.pipeline_wait_s},
                       {"inputs_wait_s", counters.inputs_wait_s}};
    // Paths and the model's name may hold any bytes.
    return record.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace longhaul::engine
