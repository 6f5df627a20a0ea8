#include "engine/job_server.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>
#include <variant>

namespace longhaul::engine {
namespace {

// What the router may hold of jobs that wait for their replica.
constexpr std::size_t kRouterJobs = 64;
constexpr std::int64_t kRouterBytes = std::int64_t{256} << 20;

}  // namespace

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
      router_([this] { return next_job(); }, kRouterJobs, kRouterBytes,
              [this] { return job_ready(); }),
      in_hand_(static_cast<std::size_t>(options.replicas)),
      has_pulled_(static_cast<std::size_t>(options.replicas)),
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
            has_pulled_[static_cast<std::size_t>(record.replica)] = true;
            break;
        case LinkKind::result:
            --in_hand_[static_cast<std::size_t>(record.replica)];
            write_result(io::deserialize_result(record.payload));
            answer(record.replica, LinkKind::ack, {});
            break;
        case LinkKind::skipped:
            --in_hand_[static_cast<std::size_t>(record.replica)];
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

// The replica with the fewest jobs comes first: replicas pull for whole batches, and the first to pull would empty a short
// queue while the others stand idle. For the same reason nobody gets a job before everybody has pulled.
std::deque<int>::iterator JobServer::hungriest() {
    if (std::find(has_pulled_.begin(), has_pulled_.end(), false) != has_pulled_.end()) {
        return pulls_.end();
    }
    auto const in_hand = [this](int replica) {
        return in_hand_[static_cast<std::size_t>(replica)];
    };
    return std::min_element(pulls_.begin(), pulls_.end(),
                            [&](int a, int b) { return in_hand(a) < in_hand(b); });
}

void JobServer::answer_pulls() {
    std::deque<int> later;
    for (auto pull = hungriest(); pull != pulls_.end(); pull = hungriest()) {
        int const replica = *pull;
        pulls_.erase(pull);
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
                ++in_hand_[static_cast<std::size_t>(replica)];
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
    pulls_.insert(pulls_.begin(), later.begin(), later.end());
}

void JobServer::answer(int replica, LinkKind kind, std::string payload) {
    LinkRecord record{replica, kind, std::move(payload)};
    if (replica == 0) {
        local_.to_leader.push(std::move(record));
    } else {
        sender_.send(record, replica * options_.ranks_per_replica, kToLeaderTag);
    }
}

// Whether next_job answers at once. Lines that are no jobs are dealt with on the way.
bool JobServer::job_ready() {
    while (!next_job_ && queue_.ready()) {
        std::optional<io::QueueEntry> entry = queue_.next();
        if (!entry) {
            return true;
        }
        if (auto* const job = std::get_if<io::Job>(&entry->job)) {
            next_job_ = std::move(*job);
        } else {
            refuse(std::get<io::BadJob>(entry->job));
        }
    }
    return next_job_.has_value();
}

std::optional<io::Job> JobServer::next_job() { return std::exchange(next_job_, std::nullopt); }

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
    ++(ok ? summary_.jobs_skipped : summary_.jobs_failed);
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
