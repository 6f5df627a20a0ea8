#include "engine/replica_leader.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace longhaul::engine {

ReplicaLeader::ReplicaLeader(Options options, StepChannel& channel, JobLink& link,
                             PrepareThread& prepare, text::Tokenizer const& tokenizer)
    : options_(std::move(options)),
      channel_(channel),
      link_(link),
      prepare_(prepare),
      tokenizer_(tokenizer),
      epochs_(options_.num_ranks, options_.save, options_.interval, Clock::now()) {}

void ReplicaLeader::planned(schedule::StepPlan const& plan,
                            schedule::ChunkScheduler const& scheduler) {
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
        schedule::Sequence const& sequence = scheduler.sequence(item.sequence);
        if (options_.store && !item.decode && item.end == sequence.prompt_length()) {
            note_document(sequence, job->second);
        }
    }
    tokens_computed_ += plan.num_rows();
    if (!plan.empty()) {
        last_rows_ = plan.step;
    }
    if (plan.epoch) {
        begin_epoch(plan, scheduler);
    }
    poll();
}

void ReplicaLeader::poll() {
    handle_link();
    handle_prepared();
    pull_jobs();
    handle_outcomes();
    hand_on_epochs();
    publish_ready();
    send_stats();
    channel_.progress();
}

void ReplicaLeader::pull_jobs() {
    auto const in_hand = open_pulls_ + prepare_.num_pending() +
                         static_cast<std::int64_t>(ready_.size() + live_.size());
    bool const wanted = !queue_ended_ && !stop_wanted_;
    for (auto n = in_hand; n < options_.max_batch + options_.prefetch && wanted; ++n) {
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
                unacknowledged_.pop_front();
                break;
            case LinkKind::settled:
                epochs_.settled(Clock::now());
                break;
            case LinkKind::stop:
                stop_wanted_ = true;
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
                if (prepared->saved && prepared->saved->end != io::SavedEnd::none) {
                    finish_saved(std::move(*prepared));
                } else {
                    ready_.push_back(std::move(*prepared));
                }
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

// The job had ended when it was saved, only its result was not on the disk.
void ReplicaLeader::finish_saved(PreparedJob prepared) {
    io::SavedSequence const saved = *prepared.saved;
    LiveJob job(std::move(prepared), options_.eos_tokens);
    job.restore(saved, Clock::now());
    send_result(job.finish(tokenizer_, options_.grid, options_.chunk), saved);
}

void ReplicaLeader::handle_outcomes() {
    while (std::optional<StepOutcome> const outcome = channel_.poll_outcome()) {
        capture_state(outcome->step);
        last_outcome_ = outcome->step;
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
    if (last_outcome_ == last_rows_) {
        capture_state(std::numeric_limits<StepIndex>::max());
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
    store_document(job->second);
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
        store_document(job->second);
        inputs.ended.push_back({score.sequence, end});
        finish_job(score.sequence);
    }
}

void ReplicaLeader::finish_job(SequenceId id) {
    auto const job = live_.find(id);
    stats_.generated_tokens_expected -= job->second.max_tokens() - job->second.num_generated();
    std::optional<io::SavedSequence> state;
    if (epochs_.enabled()) {
        state = job->second.save(0, Clock::now());
    }
    send_result(job->second.finish(tokenizer_, options_.grid, options_.chunk), std::move(state));
    live_.erase(job);
}

void ReplicaLeader::fail_job(SequenceId id, schedule::StepInputs& inputs) {
    auto const job = live_.find(id);
    stats_.generated_tokens_expected -= job->second.max_tokens() - job->second.num_generated();
    send_result(job->second.fail(job->second.non_finite_error()));
    live_.erase(job);
    inputs.ended.push_back({id, schedule::EndReason::failed});
}

void ReplicaLeader::send_result(io::JobResult const& result,
                                std::optional<io::SavedSequence> state) {
    link_.send(LinkKind::result, io::serialize_result(result));
    unacknowledged_.push_back(std::move(state));
}

bool ReplicaLeader::finished() const {
    // A sequence that failed leaves steps in flight whose outcomes somebody has to receive.
    bool const outcomes_open =
        std::any_of(planned_.begin(), planned_.end(),
                    [](PlannedStep const& step) { return !step.empty && !step.outcome_known; });
    return !outcomes_open && queue_ended_ && open_pulls_ == 0 && prepare_.num_pending() == 0 &&
           ready_.empty() && live_.empty() && unacknowledged_.empty() && documents_.empty() &&
           !epochs_.busy();
}

bool ReplicaLeader::can_publish() const {
    if (planned_.empty() || end_published_ || stop_published_) {
        return false;
    }
    PlannedStep const& step = planned_.front();
    if (!step.empty) {
        return step.outcome_known;
    }
    bool const room = static_cast<std::int64_t>(live_.size()) < options_.max_batch;
    bool const store = !documents_.empty() && !epochs_.busy();
    return (!live_.empty() && !all_wait_for_loads()) || (room && !ready_.empty()) || store ||
           finished() || stop_wanted_;
}

void ReplicaLeader::publish_ready() {
    while (can_publish()) {
        bool const empty = planned_.front().empty;
        schedule::StepInputs inputs = std::move(planned_.front().inputs);
        planned_.pop_front();
        announce_loaded(inputs);
        announce_epoch(inputs);
        announce_jobs(inputs);
        inputs.leader_time_s = std::chrono::duration<double>(Clock::now() - start_).count();
        inputs.end = finished();
        bool const news = !inputs.tokens.empty() || !inputs.ended.empty() ||
                          !inputs.admissions.empty() || !inputs.loaded.empty() || inputs.epoch ||
                          inputs.stop;
        quiet_steps_ = news || !empty ? 0 : quiet_steps_ + 1;
        end_published_ = inputs.end;
        ++next_publish_;
        channel_.publish(std::move(inputs));
    }
}

void ReplicaLeader::announce_jobs(schedule::StepInputs& inputs) {
    while (!ready_.empty() && static_cast<std::int64_t>(live_.size()) < options_.max_batch &&
           !stop_wanted_) {
        PreparedJob prepared = std::move(ready_.front());
        ready_.pop_front();
        SequenceId const id = next_id_++;
        inputs.admissions.push_back(prepared.spec);
        inputs.admissions.back().id = id;
        ++stats_.jobs_started;
        stats_.generated_tokens_expected += prepared.spec.max_new_tokens;
        stats_.prompt_tokens_expected += static_cast<std::int64_t>(prepared.spec.prompt.size());
        if (prepared.spec.load_entries > 0) {
            loads_[id] = {prepared.spec.load_entries,
                          static_cast<std::int64_t>(prepared.spec.prompt.size()), prepared.spec.cut,
                          prepared.spec.load_entries, 0};
        }
        std::optional<io::SavedSequence> const saved = std::move(prepared.saved);
        LiveJob& job =
            live_.emplace(id, LiveJob(std::move(prepared), options_.eos_tokens)).first->second;
        if (saved) {
            job.restore(*saved, Clock::now());
        }
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
    stats_.longest_epoch_s = epochs_.longest_s();
    stats_.entries_computed = tokens_computed_;
    stats_.prefilling = static_cast<std::int64_t>(live_.size()) - stats_.decoding;
}

void ReplicaLeader::say_goodbye() {
    count_phases();
    link_.send(LinkKind::stats, stats_.serialize());
    link_.send(LinkKind::bye, stop_published_ ? "stopped" : "");
    link_.drain();
}

}  // namespace longhaul::engine
