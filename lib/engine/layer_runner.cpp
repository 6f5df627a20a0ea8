#include "engine/layer_runner.hpp"

#include "kernels/attention.hpp"
#include "kernels/linear.hpp"
#include "kernels/norm.hpp"
#include "kernels/rope_kv.hpp"
#include "engine/step_parts.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <span>

namespace longhaul::engine {
namespace {

// NCCL's documentation warns of graphs that hold the operations of several communicators.
bool may_record(comm::ProcessGrid& grid) {
    comm::Communicator const& linear = grid.linear();
    comm::Communicator const& kvp = grid.kvp();
    if (linear.size() == 1) {
        return true;
    }
    bool const together = linear.capturable_together() && kvp.capturable_together();
    return linear.capturable() && (kvp.size() == 1 || together);
}

}  // namespace

LayerRunner::LayerRunner(RankContext& context, std::int64_t max_rows)
    : context_(context),
      config_(context.weights.config),
      partition_(context.weights.partition),
      kvp_index_(static_cast<std::size_t>(context.grid.coord().kvp)),
      exchange_(context.grid.kvp(), config_, partition_, context.exec),
      work_(context.exec, {context.kv.layout(), partition_.heads.size(), context.deterministic}),
      wide_dtype_(wide_dtype(context.exec.backend, context.weights.dtype)) {
    auto const make = [&](std::int64_t width, DType dtype) {
        return device::Buffer(context.gpu(), max_rows * width * dtype_bytes(dtype));
    };
    DType const dtype = context.weights.dtype;
    std::int64_t const head_elements = partition_.heads.size() * config_.head_dim;
    std::int64_t const ffn = partition_.ffn[kvp_index_].size();
    normed_ = make(config_.hidden_dim, dtype);
    qkv_ = make((partition_.heads.size() + 2 * partition_.kv_heads.size()) * config_.head_dim,
                wide_dtype_);
    rope_ = make(config_.head_dim, DType::f32);
    queries_ = make(head_elements, dtype);
    attended_ = make(head_elements, DType::f32);
    lse_ = make(partition_.heads.size(), DType::f32);
    merged_ = make(context.grid.kvp().size() > 1 ? exchange_.width() : 0, DType::f32);
    gate_up_ = make(2 * ffn, wide_dtype_);
    activation_ = make(std::max(exchange_.width(), ffn), dtype);
    delta_ = make(config_.hidden_dim, DType::f32);
    if (context.gpu() != nullptr) {
        context.grid.linear().reserve_sum(max_rows * config_.hidden_dim);
        if (may_record(context.grid)) {
            graphs_.emplace(*context.gpu());
        }
    }
}

std::int64_t workspace_bytes(ModelConfig const& config, model::Partition const& partition,
                             std::int64_t kvp_index, kernels::Backend backend, DType dtype,
                             std::int64_t max_rows) {
    auto const k = static_cast<std::size_t>(kvp_index);
    std::int64_t const heads = partition.heads.size() * config.head_dim;
    std::int64_t const kv_heads = partition.kv_heads.size() * config.head_dim;
    std::int64_t const slice = partition.projection[k].size();
    std::int64_t const ffn = partition.ffn[k].size();
    std::int64_t const wide = heads + 2 * kv_heads + 2 * ffn;
    std::int64_t const f32 =
        2 * config.hidden_dim + config.head_dim + heads + partition.heads.size() + slice;
    std::int64_t const typed = config.hidden_dim + heads + std::max(slice, ffn);
    return max_rows * (wide * dtype_bytes(wide_dtype(backend, dtype)) +
                       f32 * dtype_bytes(DType::f32) + typed * dtype_bytes(dtype));
}

void LayerRunner::run(StepBatch const& batch, BatchArrays const& arrays, float* hidden) {
    kernels::rope_table(context_.exec, arrays.positions, config_.head_dim, config_.rope_theta,
                        rope_.as<float>());
    work_.prepare(batch.num_rows, batch.attention);
    // One row an item: a decode step, whose kernels are too short for the host to keep up with.
    bool const decode = batch.num_rows == std::ssize(batch.item_rows);
    if (graphs_ && decode) {
        graphs_->run(graph_key(batch, arrays, hidden), context_.clock,
                     [&] { run_layers(batch, arrays, hidden, {}); });
        context_.grid.linear().graph_launched();
    } else {
        run_layers(batch, arrays, hidden, context_.between_layers);
    }
}

StepGraphs::Key LayerRunner::graph_key(StepBatch const& batch, BatchArrays const& arrays,
                                       float const* hidden) const {
    StepGraphs::Key key{static_cast<std::uint64_t>(batch.num_rows),
                        reinterpret_cast<std::uint64_t>(arrays.slots.data()),
                        reinterpret_cast<std::uint64_t>(hidden),
                        reinterpret_cast<std::uint64_t>(context_.clock)};
    work_.append_launch_key(key);
    if (context_.grid.kvp().size() > 1) {
        exchange_.append_launch_key(batch, key);
    }
    if (context_.grid.linear().size() > 1) {
        append_keys_of_all(context_.grid.linear(), key);
    }
    return key;
}

void LayerRunner::run_layers(StepBatch const& batch, BatchArrays const& arrays, float* hidden,
                             std::function<void()> const& between) {
    delta_pending_ = false;
    for (std::int64_t layer = 0; layer < partition_.layers.size(); ++layer) {
        run_layer(batch, arrays, layer, hidden);
        if (between) {
            between();
        }
    }
    kernels::ResidualNormArgs last;  // the residual of the last FFN, without a norm
    last.x = hidden;
    last.delta = delta_.as<float>();
    last.num_rows = batch.num_rows;
    last.dim = config_.hidden_dim;
    kernels::residual_rms_norm(context_.exec, last);
}

void LayerRunner::run_layer(StepBatch const& batch, BatchArrays const& arrays,
                            std::int64_t local_layer, float* hidden) {
    model::LayerWeights const& layer =
        context_.weights.layers[static_cast<std::size_t>(local_layer)];
    DType const dtype = context_.weights.dtype;

    norm(batch, hidden, layer.attn_norm);
    linear(batch, normed_.data(), layer.qkv, qkv_.data(), wide_dtype_);
    attend(batch, arrays, local_layer);
    float const* slice = attended_.as<float>();
    if (context_.grid.kvp().size() > 1) {
        timed(context_, StepPart::messages,
              [&] { exchange_.run(batch, arrays, slice, lse_.as<float>(), merged_.as<float>()); });
        slice = merged_.as<float>();
    }
    kernels::convert(context_.exec, slice, batch.num_rows * exchange_.width(), activation_.data(),
                     dtype);
    linear(batch, activation_.data(), layer.projection[kvp_index_], delta_.data(), DType::f32);
    reduce_delta(batch);

    norm(batch, hidden, layer.ffn_norm);
    linear(batch, normed_.data(), layer.gate_up[kvp_index_], gate_up_.data(), wide_dtype_);
    kernels::swiglu(context_.exec, gate_up_.data(), batch.num_rows,
                    partition_.ffn[kvp_index_].size(), activation_.data(), dtype, wide_dtype_);
    linear(batch, activation_.data(), layer.down[kvp_index_], delta_.data(), DType::f32);
    reduce_delta(batch);
}

void LayerRunner::attend(StepBatch const& batch, BatchArrays const& arrays,
                         std::int64_t local_layer) {
    kernels::RopeKvArgs rope;
    rope.layout = context_.kv.layout();
    rope.pool = context_.kv.layer_pool(local_layer);
    rope.qkv = qkv_.data();
    rope.qkv_dtype = wide_dtype_;
    rope.table = rope_.as<float>();
    rope.num_rows = batch.num_rows;
    rope.num_heads = partition_.heads.size();
    rope.slots = arrays.slots;
    rope.queries = queries_.data();
    kernels::rope_and_write_kv(context_.exec, rope);

    kernels::AttentionArgs attention;
    attention.layout = context_.kv.layout();
    attention.pool = rope.pool;
    attention.queries = queries_.data();
    attention.num_rows = batch.num_rows;
    attention.num_heads = partition_.heads.size();
    attention.scale = 1.0F / std::sqrt(static_cast<float>(config_.head_dim));
    attention.items = batch.attention;
    attention.work = &work_;
    attention.out = attended_.as<float>();
    attention.lse = lse_.as<float>();
    timed(context_, StepPart::attention, [&] { kernels::attention(context_.exec, attention); });
}

// Adds what the previous sub-layer left to the residual and normalises in the same pass.
void LayerRunner::norm(StepBatch const& batch, float* hidden, device::Buffer const& weight) {
    kernels::ResidualNormArgs args;
    args.x = hidden;
    args.delta = delta_pending_ ? delta_.as<float>() : nullptr;
    args.weight = weight.as<float>();
    args.epsilon = config_.rms_epsilon;
    args.num_rows = batch.num_rows;
    args.dim = config_.hidden_dim;
    args.out = normed_.data();
    args.out_dtype = context_.weights.dtype;
    kernels::residual_rms_norm(context_.exec, args);
    delta_pending_ = false;
}

void LayerRunner::linear(StepBatch const& batch, void const* input,
                         kernels::LinearWeight const& weight, void* output, DType output_dtype) {
    auto const* const in = static_cast<std::byte const*>(input);
    auto* const out = static_cast<std::byte*>(output);
    auto const run = [&](Range rows) {
        kernels::linear(context_.exec,
                        in + rows.begin * weight.k() * dtype_bytes(context_.weights.dtype),
                        rows.size(), weight,
                        out + rows.begin * weight.n() * dtype_bytes(output_dtype), output_dtype);
    };
    timed(context_, StepPart::linear, [&] {
        if (context_.deterministic) {
            std::for_each(batch.item_rows.begin(), batch.item_rows.end(), run);
        } else {
            run({0, batch.num_rows});
        }
    });
}

void LayerRunner::reduce_delta(StepBatch const& batch) {
    delta_pending_ = true;
    if (context_.grid.linear().size() > 1) {
        std::span const delta(delta_.as<float>(),
                              static_cast<std::size_t>(batch.num_rows * config_.hidden_dim));
        timed(context_, StepPart::messages,
              [&] { context_.grid.linear().all_reduce_sum(delta, context_.stream()); });
    }
}

}  // namespace longhaul::engine
