#include "engine/rank_engine.hpp"

#include "engine/step_parts.hpp"

#include <span>
#include <utility>

namespace longhaul::engine {
namespace {

constexpr int kHiddenTag = 1;

}  // namespace

RankEngine::RankEngine(RankContext& context, std::int64_t max_rows)
    : context_(context),
      layers_(context, max_rows),
      uploader_(context.gpu()),
      hidden_(context.gpu(),
              max_rows * context.weights.config.hidden_dim * dtype_bytes(DType::f32)) {
    if (context.weights.partition.first_stage) {
        source_.emplace(context);
    }
    if (context.weights.partition.last_stage) {
        head_.emplace(context);
    }
}

std::optional<StepOutcome> RankEngine::submit(schedule::StepPlan const& plan,
                                              schedule::ChunkScheduler const& scheduler) {
    scrub(plan);
    if (plan.empty()) {
        ++context_.counters.empty_steps;
        return std::nullopt;
    }
    mark(context_, StepPart::between);
    ++context_.counters.steps;
    for (schedule::PlanItem const& item : plan.items) {
        (item.decode ? context_.counters.decode_rows : context_.counters.prefill_rows) +=
            item.size();
    }
    StepBatch const batch = build_step_batch(plan, scheduler, context_.grid.coord().kvp);
    BatchArrays const arrays = uploader_.bring(batch);
    auto* const hidden = hidden_.as<float>();
    if (source_) {
        source_->embed(plan, scheduler, batch, arrays, hidden);
    } else {
        receive_hidden(batch);
    }
    layers_.run(batch, arrays, hidden);
    if (!head_) {
        send_hidden(batch);
        return std::nullopt;
    }
    return head_->run(plan, scheduler, batch, hidden);
}

void RankEngine::scrub(schedule::StepPlan const& plan) {
    for (schedule::BlockRef const& block : plan.scrub) {
        if (block.coordinate == context_.grid.coord().kvp) {
            context_.kv.scrub(block.pool_block);
        }
    }
}

void RankEngine::receive_hidden(StepBatch const& batch) {
    ScopedTimer const timer(context_.counters.pipeline_wait_s);
    comm::Communicator& pipeline = context_.grid.pipeline();
    pipeline.recv(std::span(hidden_.data(), hidden_bytes(batch)), pipeline.rank() - 1, kHiddenTag,
                  context_.stream());
    mark(context_, StepPart::messages);
}

void RankEngine::send_hidden(StepBatch const& batch) {
    mark(context_, StepPart::other);
    reap_sends();
    comm::Communicator& pipeline = context_.grid.pipeline();
    PendingSend& send = sends_.emplace_back();
    std::span<std::byte const> data(hidden_.data(), hidden_bytes(batch));
    if (context_.gpu() == nullptr) {
        // The next step writes hidden_ while this one is under way. On a GPU it does so behind the send, in the same stream.
        send.data.assign(hidden_.as<float>(),
                         hidden_.as<float>() + batch.num_rows * context_.weights.config.hidden_dim);
        data = std::as_bytes(std::span(send.data));
    }
    send.request = pipeline.isend(data, pipeline.rank() + 1, kHiddenTag, context_.stream());
    mark(context_, StepPart::messages);
}

std::size_t RankEngine::hidden_bytes(StepBatch const& batch) const {
    return static_cast<std::size_t>(batch.num_rows * context_.weights.config.hidden_dim *
                                    dtype_bytes(DType::f32));
}

void RankEngine::reap_sends() {
    while (!sends_.empty() && sends_.front().request.test()) {
        sends_.pop_front();
    }
}

void RankEngine::drain() {
    for (PendingSend& send : sends_) {
        send.request.wait();
    }
    sends_.clear();
}

}  // namespace longhaul::engine
