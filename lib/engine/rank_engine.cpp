#include "engine/rank_engine.hpp"

#include "base/checked.hpp"

#include <span>
#include <utility>

namespace longhaul::engine {
namespace {

constexpr int kHiddenTag = 1;

}  // namespace

RankEngine::RankEngine(RankContext& context, std::int64_t max_rows)
    : context_(context),
      layers_(context, max_rows),
      hidden_(static_cast<std::size_t>(max_rows * context.weights.config.hidden_dim)) {
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
    ++context_.counters.steps;
    for (schedule::PlanItem const& item : plan.items) {
        (item.decode ? context_.counters.decode_rows : context_.counters.prefill_rows) +=
            item.size();
    }
    StepBatch const batch = build_step_batch(plan, scheduler, context_.grid.coord().kvp);
    if (source_) {
        source_->embed(plan, scheduler, batch, hidden_.data());
    } else {
        receive_hidden(batch);
    }
    layers_.run(batch, hidden_.data());
    if (!head_) {
        send_hidden(batch);
        return std::nullopt;
    }
    return head_->run(plan, scheduler, batch, hidden_.data());
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
    auto const count =
        static_cast<std::size_t>(batch.num_rows * context_.weights.config.hidden_dim);
    comm::Communicator& pipeline = context_.grid.pipeline();
    pipeline.recv(std::as_writable_bytes(std::span(hidden_.data(), count)), pipeline.rank() - 1,
                  kHiddenTag);
}

void RankEngine::send_hidden(StepBatch const& batch) {
    reap_sends();
    auto const count =
        static_cast<std::size_t>(batch.num_rows * context_.weights.config.hidden_dim);
    comm::Communicator& pipeline = context_.grid.pipeline();
    PendingSend& send = sends_.emplace_back();
    send.data.assign(hidden_.begin(), hidden_.begin() + static_cast<std::ptrdiff_t>(count));
    send.request =
        pipeline.isend(std::as_bytes(std::span(send.data)), pipeline.rank() + 1, kHiddenTag);
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
