#include "engine/replica_leader.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <utility>

namespace longhaul::engine {

ReplicaLeader::ReplicaLeader(Options options, StepChannel& channel, JobLink& link,
                             PrepareThread& prepare, text::Tokenizer const& tokenizer)
    : options_(std::move(options)),
      channel_(channel),
      link_(link),
      prepare_(prepare),
      tokenizer_(tokenizer) {}

void ReplicaLeader::planned(schedule::StepPlan const& plan) {
    PlannedStep& step = planned_.emplace_back();
    step.empty = plan.empty();
    step.inputs.step = plan.step;
    auto const now = Clock::now();
    for (schedule::PlanItem const& item : plan.items) {
        step.prefill_rows += item.decode ? 0 : item.size();
        auto const job = live_.find(item.sequence);
        if (job == live_.end()) {
            continue;
        }
        bool const first = !job->second.started();
        job->second.planned(item, now);
        stats_.prompt_tokens_expected -= first ? job->second.shared_tokens() : 0;
    }
    poll();
}

void ReplicaLeader::poll() {
    handle_link();
    handle_prepared();
    pull_jobs();
    handle_outcomes();
    publish_ready();
    send_stats();
    channel_.progress();
}

void ReplicaLeader::pull_jobs() {
    auto const in_hand = open_pulls_ + prepare_.num_pending() +
                         static_cast<std::int64_t>(ready_.size() + live_.size());
    for (auto n = in_hand; n < options_.max_batch + options_.prefetch && !queue_ended_; ++n) {
        link_.send(LinkKind::pull);
        ++open_pulls_;
    }
}

void ReplicaLeader::handle_link() {
    while (std::optional<LinkRecord> const record = link_.poll()) {
        switch (record->kind) {
            case LinkKind::job:
                --open_pulls_;
                prepare_.submit(LinkJob::deserialize(record->payload));
                break;
            case LinkKind::end:
                --open_pulls_;
                queue_ended_ = true;
                break;
            case LinkKind::ack:
                --unacknowledged_;
                break;
            default:
                LH_ASSERT(false);
        }
    }
}

void ReplicaLeader::handle_prepared() {
    while (std::optional<PreparedJob> prepared = prepare_.poll()) {
        switch (prepared->verdict) {
            case PreparedJob::Verdict::run:
                ready_.push_back(std::move(*prepared));
                break;
            case PreparedJob::Verdict::error:
                send_result(
                    io::failed_result(prepared->job.id, prepared->job_hash, *prepared->error));
                break;
            case PreparedJob::Verdict::skip_done:
                link_.send(LinkKind::skipped, "ok");
                break;
            case PreparedJob::Verdict::skip_failed:
                link_.send(LinkKind::skipped, "failed");
                break;
        }
    }
}

void ReplicaLeader::handle_outcomes() {
    while (std::optional<StepOutcome> const outcome = channel_.poll_outcome()) {
        auto const offset = static_cast<std::size_t>(outcome->step - next_publish_);
        LH_ASSERT(outcome->step >= next_publish_ && offset < planned_.size());
        PlannedStep& step = planned_[offset];
        step.outcome_known = true;
        stats_.prompt_tokens_done += step.prefill_rows;
        for (SampleOutcome const& sample : outcome->samples) {
            handle_sample(sample, step.inputs);
        }
        for (ScoreOutcome const& score : outcome->scores) {
            handle_scores(score, step.inputs);
        }
    }
}

void ReplicaLeader::handle_sample(SampleOutcome const& sample, schedule::StepInputs& inputs) {
    auto const job = live_.find(sample.sequence);
    if (job == live_.end()) {
        return;  // failed while this step was in flight
    }
    if (!sample.finite) {
        fail_job(sample.sequence, inputs);
        return;
    }
    ++stats_.generated_tokens;
    schedule::EndReason const end = job->second.add_token(sample, Clock::now());
    inputs.tokens.push_back({sample.sequence, sample.index, sample.token, end});
    if (end != schedule::EndReason::none) {
        finish_job(sample.sequence);
    }
}

void ReplicaLeader::handle_scores(ScoreOutcome const& score, schedule::StepInputs& inputs) {
    auto const job = live_.find(score.sequence);
    if (job == live_.end()) {
        return;
    }
    if (!score.finite) {
        fail_job(score.sequence, inputs);
        return;
    }
    schedule::EndReason const end = job->second.add_scores(score, Clock::now());
    if (end != schedule::EndReason::none) {
        inputs.ended.push_back({score.sequence, end});
        finish_job(score.sequence);
    }
}

void ReplicaLeader::finish_job(SequenceId id) {
    auto const job = live_.find(id);
    stats_.generated_tokens_expected -= job->second.max_tokens() - job->second.num_generated();
    send_result(job->second.finish(tokenizer_, options_.grid, options_.chunk));
    live_.erase(job);
}

void ReplicaLeader::fail_job(SequenceId id, schedule::StepInputs& inputs) {
    auto const job = live_.find(id);
    stats_.generated_tokens_expected -= job->second.max_tokens() - job->second.num_generated();
    send_result(job->second.fail(
        {"non_finite",
         "the model's output is not finite (NaN or infinity) for this input; check the weights, "
         "or run it with --dtype f32 and another --output"}));
    live_.erase(job);
    inputs.ended.push_back({id, schedule::EndReason::failed});
}

void ReplicaLeader::send_result(io::JobResult const& result) {
    link_.send(LinkKind::result, io::serialize_result(result));
    ++unacknowledged_;
}

bool ReplicaLeader::finished() const {
    // A sequence that failed leaves steps in flight whose outcomes somebody has to receive.
    bool const outcomes_open =
        std::any_of(planned_.begin(), planned_.end(),
                    [](PlannedStep const& step) { return !step.empty && !step.outcome_known; });
    return !outcomes_open && queue_ended_ && open_pulls_ == 0 && prepare_.num_pending() == 0 &&
           ready_.empty() && live_.empty() && unacknowledged_ == 0;
}

bool ReplicaLeader::can_publish() const {
    if (planned_.empty() || end_published_) {
        return false;
    }
    PlannedStep const& step = planned_.front();
    if (!step.empty) {
        return step.outcome_known;
    }
    return !live_.empty() || !ready_.empty() || finished();
}

void ReplicaLeader::publish_ready() {
    while (can_publish()) {
        schedule::StepInputs inputs = std::move(planned_.front().inputs);
        planned_.pop_front();
        announce_jobs(inputs);
        inputs.leader_time_s = std::chrono::duration<double>(Clock::now() - start_).count();
        inputs.end = finished();
        end_published_ = inputs.end;
        ++next_publish_;
        channel_.publish(std::move(inputs));
    }
}

void ReplicaLeader::announce_jobs(schedule::StepInputs& inputs) {
    while (!ready_.empty() && static_cast<std::int64_t>(live_.size()) < options_.max_batch) {
        PreparedJob prepared = std::move(ready_.front());
        ready_.pop_front();
        SequenceId const id = next_id_++;
        inputs.admissions.push_back(prepared.spec);
        inputs.admissions.back().id = id;
        ++stats_.jobs_started;
        stats_.generated_tokens_expected += prepared.spec.max_new_tokens;
        stats_.prompt_tokens_expected += static_cast<std::int64_t>(prepared.spec.prompt.size());
        live_.emplace(id, LiveJob(std::move(prepared), options_.eos_tokens));
    }
}

void ReplicaLeader::send_stats() {
    constexpr auto kInterval = std::chrono::milliseconds(500);
    auto const now = Clock::now();
    if (now - last_stats_ < kInterval) {
        return;
    }
    last_stats_ = now;
    count_phases();
    link_.send(LinkKind::stats, stats_.serialize());
}

void ReplicaLeader::count_phases() {
    stats_.decoding = 0;
    for (auto const& [id, job] : live_) {
        stats_.decoding += job.num_generated() > 0 ? 1 : 0;
    }
    stats_.prefilling = static_cast<std::int64_t>(live_.size()) - stats_.decoding;
}

void ReplicaLeader::say_goodbye() {
    count_phases();
    link_.send(LinkKind::stats, stats_.serialize());
    link_.send(LinkKind::bye);
    link_.drain();
}

}  // namespace longhaul::engine
