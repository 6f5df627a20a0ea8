#include "engine/run_options.hpp"

#include <fmt/format.h>

namespace longhaul::engine {
namespace {

std::string optional_text(std::optional<std::int64_t> value) {
    return value ? std::to_string(*value) : "default";
}

}  // namespace

std::string describe(CheckpointEvery const& every) {
    if (every.off()) {
        return "off";
    }
    return every.seconds ? fmt::format("{}s", *every.seconds)
                         : fmt::format("{}-tokens", *every.tokens);
}

char const* kv_policy_name(schedule::KvPolicy policy) {
    switch (policy) {
        case schedule::KvPolicy::striped:
            return "striped";
        case schedule::KvPolicy::single:
            return "single";
        case schedule::KvPolicy::automatic:
            break;
    }
    return "auto";
}

char const* weight_storage_name(model::WeightStorage storage) {
    return storage == model::WeightStorage::sharded ? "sharded" : "replicated";
}

char const* backend_name(kernels::Backend backend) {
    switch (backend) {
        case kernels::Backend::reference:
            return "reference";
        case kernels::Backend::cpu:
            return "cpu";
        case kernels::Backend::cuda:
            return "cuda";
    }
    return "";
}

std::string RunOptions::describe() const {
    return fmt::format(
        "model={} random-weights={} queue={} output={} replicas={} spp={} kvp={} tp={} chunk={} "
        "max-batch={} "
        "block-slots={} kv-policy={} "
        "kvp-weights={} kv-memory={} dtype={} backend={} threads={} deterministic={} "
        "retry-errors={} checkpoint={} checkpoint-every={} checkpoint-buffer={} kv-store={} "
        "fresh={} "
        "time-limit={}",
        model.string(), random_weights ? std::to_string(*random_weights) : "none", queue.string(),
        output.string(), optional_text(replicas), optional_text(spp), optional_text(kvp),
        optional_text(tp), chunk, max_batch, block_slots, kv_policy_name(kv_policy),
        weight_storage_name(kvp_weights), optional_text(kv_bytes), dtype_name(dtype),
        backend_name(backend), threads, deterministic, retry_errors, checkpoint_folder().string(),
        engine::describe(checkpoint_every), optional_text(checkpoint_buffer),
        kv_store ? kv_store->string() : "none", fresh,
        time_limit_s ? fmt::format("{}s", *time_limit_s) : "none");
}

}  // namespace longhaul::engine
