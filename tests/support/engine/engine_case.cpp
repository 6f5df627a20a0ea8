#include "support/engine/engine_case.hpp"

#include <fmt/format.h>

namespace longhaul::test {

std::string EngineCase::name() const {
    std::string name = fmt::format("spp{}_kvp{}_tp{}_chunk{}_batch{}_block{}", spp, kvp, tp, chunk,
                                   max_batch, block_slots);
    if (replicas > 1) {
        name = fmt::format("replicas{}_{}", replicas, name);
    }
    if (kvp > 1) {
        name += fmt::format("_{}_{}", engine::kv_policy_name(kv_policy),
                            engine::weight_storage_name(kvp_weights));
    }
    if (dtype != DType::f32) {
        name += fmt::format("_{}", dtype_name(dtype));
    }
    if (backend != kernels::Backend::cpu) {
        name += fmt::format("_{}", engine::backend_name(backend));
    }
    return deterministic ? name + "_deterministic" : name;
}

engine::RunOptions EngineCase::options() const {
    engine::RunOptions options;
    options.replicas = replicas;
    options.spp = spp;
    options.kvp = kvp;
    options.tp = tp;
    options.chunk = chunk;
    options.max_batch = max_batch;
    options.block_slots = block_slots;
    options.kv_policy = kv_policy;
    options.kvp_weights = kvp_weights;
    options.kv_bytes = kv_bytes;
    options.dtype = dtype;
    options.backend = backend;
    options.threads = 1;
    options.checkpoint_every.seconds.reset();
    if (checkpoint_tokens > 0) {
        options.checkpoint_every.tokens = checkpoint_tokens;
    }
    if (!kv_store.empty()) {
        options.kv_store = kv_store;
    }
    options.checkpoint_buffer = checkpoint_buffer;
    options.deterministic = deterministic;
    return options;
}

EngineCase baseline_case() {
    EngineCase result;
    result.backend = kernels::Backend::reference;
    return result;
}

}  // namespace longhaul::test
