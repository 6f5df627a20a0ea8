#include "engine/job_server.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>
#include <variant>

namespace longhaul::engine {

JobServer::JobServer(Options options, io::QueueReader& queue, io::OutputDir& output,
                     comm::Communicator& service, LocalLink& local,
                     std::function<void(report::ProgressCounters const&)> tick)
    : options_(options),
      queue_(queue),
      output_(output),
      service_(service),
      local_(local),
      tick_(std::move(tick)),
      sender_(service),
      router_([this] { return next_job(); }),
      stats_(static_cast<std::size_t>(options.replicas)),
      open_replicas_(options.replicas) {
    counters_.jobs_total = queue.jobs_total();
}

void JobServer::serve() {
    using namespace std::chrono_literals;
    auto last_tick = std::chrono::steady_clock::now();
    auto pause = 100us;
    while (open_replicas_ > 0) {
        bool const busy = handle_messages();
        answer_pulls();
        sender_.progress();
        auto const now = std::chrono::steady_clock::now();
        if (now - last_tick > 250ms) {
            last_tick = now;
            tick_(counters_);
        }
        // Messages are rare beside steps: the server may sleep long, but not when a burst is under way.
        pause = busy ? 100us : std::min(pause * 2, std::chrono::microseconds(4000));
        std::this_thread::sleep_for(pause);
    }
    sender_.drain();
    counters_.phase = "done";
    tick_(counters_);
}

bool JobServer::handle_messages() {
    bool any = false;
    while (std::optional<LinkRecord> record = local_.to_server.pop()) {
        handle(*record);
        any = true;
    }
    if (service_.size() > 1) {
        while (std::optional<comm::Message> const message =
                   service_.try_receive(comm::kAnySource, kToServerTag)) {
            handle(parse_record(message->data));
            any = true;
        }
    }
    return any;
}

void JobServer::handle(LinkRecord const& record) {
    switch (record.kind) {
        case LinkKind::pull:
            pulls_.push_back(record.replica);
            break;
        case LinkKind::result:
            write_result(io::deserialize_result(record.payload));
            answer(record.replica, LinkKind::ack, {});
            break;
        case LinkKind::skipped:
            count_skipped(record.payload == "ok");
            break;
        case LinkKind::stats:
            update_stats(record.replica, LinkStats::deserialize(record.payload));
            break;
        case LinkKind::bye:
            --open_replicas_;
            break;
        default:
            LH_ASSERT(false);
    }
}

void JobServer::answer_pulls() {
    std::deque<int> later;
    while (!pulls_.empty()) {
        int const replica = pulls_.front();
        pulls_.pop_front();
        io::Job job;
        switch (router_.next(replica, job)) {
            case JobRouter::Answer::job: {
                LinkJob link{io::serialize_job(job), false, false, {}};
                if (std::optional<io::KnownResult> const known = output_.known(job.id)) {
                    link.known = true;
                    link.known_ok = known->ok;
                    link.known_hash = known->job_hash;
                }
                answer(replica, LinkKind::job, link.serialize());
                break;
            }
            case JobRouter::Answer::later:
                later.push_back(replica);
                break;
            case JobRouter::Answer::none:
                answer(replica, LinkKind::end, {});
                break;
        }
    }
    pulls_ = std::move(later);
}

void JobServer::answer(int replica, LinkKind kind, std::string payload) {
    LinkRecord record{replica, kind, std::move(payload)};
    if (replica == 0) {
        local_.to_leader.push(std::move(record));
    } else {
        sender_.send(record, replica * options_.ranks_per_replica, kToLeaderTag);
    }
}

std::optional<io::Job> JobServer::next_job() {
    while (std::optional<io::QueueEntry> entry = queue_.next()) {
        if (auto* const job = std::get_if<io::Job>(&entry->job)) {
            return std::move(*job);
        }
        refuse(std::get<io::BadJob>(entry->job));
    }
    return std::nullopt;
}

// A line that is no job gets its error line here; it never reaches a replica.
void JobServer::refuse(io::BadJob const& bad) {
    io::Decision const decision =
        io::decide(output_.known(bad.id), bad.job_hash, options_.retry_errors);
    if (decision != io::Decision::run) {
        count_skipped(false);
        return;
    }
    write_result(io::failed_result(bad.id, bad.job_hash, bad.error));
}

void JobServer::count_skipped(bool ok) {
    ++counters_.jobs_skipped;
    ++summary_.jobs_skipped;
    summary_.jobs_failed += ok ? 0 : 1;
}

void JobServer::write_result(io::JobResult const& result) {
    output_.append(io::to_json_line(result));
    ++(result.ok() ? counters_.jobs_done : counters_.jobs_failed);
    summary_.add(result);
    tick_(counters_);
}

void JobServer::update_stats(int replica, LinkStats const& stats) {
    stats_[static_cast<std::size_t>(replica)] = stats;
    LinkStats sum;
    for (LinkStats const& each : stats_) {
        sum.jobs_started += each.jobs_started;
        sum.prompt_tokens_done += each.prompt_tokens_done;
        sum.prompt_tokens_expected += each.prompt_tokens_expected;
        sum.generated_tokens += each.generated_tokens;
        sum.generated_tokens_expected += each.generated_tokens_expected;
        sum.prefilling += each.prefilling;
        sum.decoding += each.decoding;
    }
    counters_.jobs_started = sum.jobs_started;
    counters_.prompt_tokens_done = sum.prompt_tokens_done;
    counters_.prompt_tokens_expected = sum.prompt_tokens_expected;
    counters_.generated_tokens = sum.generated_tokens;
    counters_.generated_tokens_expected = sum.generated_tokens_expected;
    counters_.phase = sum.prefilling > 0 ? (sum.decoding > 0 ? "prefill+decode" : "prefill")
                                         : (sum.decoding > 0 ? "decode" : "waiting");
}

}  // namespace longhaul::engine
