#include "engine/job_server.hpp"

#include "base/error.hpp"
#include "base/log.hpp"
#include "io/checkpoint_load.hpp"
#include "engine/saved_sequence_bytes.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
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
                     io::CheckpointDir* checkpoint, io::KvStore* store, comm::Communicator& service,
                     LocalLink& local, std::function<void(report::ProgressCounters const&)> tick)
    : options_(std::move(options)),
      queue_(queue),
      reader_(queue),
      output_(output),
      checkpoint_(checkpoint),
      service_(service),
      local_(local),
      tick_(std::move(tick)),
      sender_(service),
      router_([this] { return next_job(); }, kRouterJobs, kRouterBytes,
              [this] { return job_ready(); }),
      in_hand_(static_cast<std::size_t>(options_.replicas)),
      has_pulled_(static_cast<std::size_t>(options_.replicas)),
      stats_(static_cast<std::size_t>(options_.replicas)),
      open_replicas_(options_.replicas),
      store_(store) {
    if (store_ != nullptr) {
        storing_.emplace([this](io::KvStoreEntry const& entry) -> std::string {
            try {
                store_->add(entry, io::segments_folder(checkpoint_->folder()));
                return {};
            } catch (std::runtime_error const& error) {
                return fmt::format("{}: {} is not kept in the KV store", error.what(),
                                   entry.document);
            }
        });
    }
    counters_.jobs_total = queue.jobs_total();
}

void JobServer::serve() {
    using namespace std::chrono_literals;
    auto last_tick = std::chrono::steady_clock::now();
    auto pause = 100us;
    while (open_replicas_ > 0) {
        bool const busy = handle_messages();
        write_epochs();
        look_for_stop();
        if (stop_reason_.empty()) {
            answer_pulls();
        }
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
    while (storing_ && storing_->num_pending() > 0) {
        if (std::string const problem = storing_->wait(); !problem.empty()) {
            log::warn("{}", problem);
        }
    }
    sender_.drain();
    if (checkpoint_ != nullptr) {
        write_checkpoint_master(checkpoint_->folder(), master_segments_, master_sequences_);
    }
    counters_.phase = stop_reason_.empty() ? "done" : "stopped";
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
            write_result(io::deserialize_result(record.payload), record.replica);
            answer(record.replica, LinkKind::ack, {});
            break;
        case LinkKind::skipped:
            --in_hand_[static_cast<std::size_t>(record.replica)];
            count_skipped(record.payload == "ok");
            break;
        case LinkKind::stats:
            update_stats(record.replica, LinkStats::deserialize(record.payload));
            break;
        case LinkKind::epoch:
            epochs_.emplace_back(record.replica, EpochContent::deserialize(record.payload));
            break;
        case LinkKind::used: {
            BlockKey last;
            LH_ASSERT(record.payload.size() == sizeof last);
            std::memcpy(&last, record.payload.data(), sizeof last);
            store_->touch(io::kv_entry_id(store_->identity(), last));
            break;
        }
        case LinkKind::stop:
            ++stops_received_;
            stop(record.payload);
            break;
        case LinkKind::bye:
            left_work_ = left_work_ || record.payload == "stopped";
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
                LinkJob link{io::serialize_job(job), false, false, {}, {}};
                if (std::optional<io::KnownResult> const known = output_.known(job.id)) {
                    link.known = true;
                    link.known_ok = known->ok;
                    link.known_hash = known->job_hash;
                }
                if (checkpoint_ != nullptr) {
                    auto const& saved = checkpoint_->saved().sequences;
                    if (auto const found = saved.find(job.id); found != saved.end()) {
                        link.saved = to_bytes(found->second.sequence);
                    }
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

// A crash at the worst moments of a result (--inject-fault).
void JobServer::rehearse(FaultInjection::Place place) const {
    if (options_.inject_fault && options_.inject_fault->place == place &&
        options_.inject_fault->number == counters_.jobs_done + counters_.jobs_failed + 1) {
        std::raise(SIGKILL);
    }
}

void JobServer::write_result(io::JobResult const& result, std::optional<std::int64_t> replica) {
    rehearse(FaultInjection::Place::before_result);
    output_.append(io::to_json_line(result));
    rehearse(FaultInjection::Place::after_result);
    if (checkpoint_ != nullptr) {
        checkpoint_->result_written(result.id, replica);
    }
    ++(result.ok() ? counters_.jobs_done : counters_.jobs_failed);
    summary_.add(result);
    tick_(counters_);
}

void JobServer::remember_for_master(EpochContent const& content) {
    if (content.keys.empty()) {
        return;
    }
    for (io::KvSegmentInfo const& segment : content.segments) {
        bool const known =
            std::any_of(master_segments_.begin(), master_segments_.end(),
                        [&](io::KvSegmentInfo const& other) { return other.name == segment.name; });
        if (!known) {
            master_segments_.push_back(segment);
        }
    }
    for (SequenceKeys const& sequence : content.keys) {
        master_sequences_.push_back({sequence.job_id, sequence.keys});
    }
}

// One after the other: a manifest lets older segments go, and what the store is taking in must not go.
void JobServer::write_epochs() {
    while (storing_ && storing_->num_pending() > 0) {
        std::optional<std::string> const problem = storing_->poll();
        if (!problem) {
            return;
        }
        if (!problem->empty()) {
            log::warn("{}", *problem);
        }
    }
    while (!epochs_.empty() && (!storing_ || storing_->num_pending() == 0)) {
        auto& [replica, content] = epochs_.front();
        write_manifest(replica, content);
        add_to_store(content);
        answer(replica, LinkKind::settled, {});
        epochs_.pop_front();
    }
}

void JobServer::add_to_store(EpochContent& content) {
    for (StoredDocument& document : content.documents) {
        auto const blocks = static_cast<std::int64_t>(document.keys.size());
        storing_->submit({std::move(document.name), blocks * options_.block_slots,
                          std::move(document.keys), content.segments});
    }
}

// A manifest that cannot be written is not the end: the epoch before it stays, and a later one may succeed.
void JobServer::write_manifest(int replica, EpochContent& content) {
    remember_for_master(content);
    io::Manifest manifest;
    manifest.id = {checkpoint_->run(), content.epoch, replica};
    manifest.identity = options_.identity;
    manifest.options = options_.chunking;
    manifest.grid = options_.grid;
    manifest.sequences = std::move(content.sequences);
    manifest.segments = content.segments;
    try {
        checkpoint_->commit(manifest, content.dropped);
    } catch (io::IoError const& error) {
        log::warn("{}; the run goes on and keeps the checkpoint before", error.what());
    }
}

void JobServer::look_for_stop() {
    if (!stop_reason_.empty()) {
        return;
    }
    if (options_.stop_requested && options_.stop_requested()) {
        stop("a signal");
        return;
    }
    if (options_.time_limit_s) {
        double const used =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - options_.begun)
                .count();
        // Twice the longest epoch so far; before the first one nobody knows, and a tenth of the time is kept.
        double longest = 0.0;
        for (LinkStats const& stats : stats_) {
            longest = std::max(longest, stats.longest_epoch_s);
        }
        double const reserve = longest > 0.0 ? 2.0 * longest + 5.0 : 0.1 * *options_.time_limit_s;
        if (used + std::min(reserve, 0.5 * *options_.time_limit_s) >= *options_.time_limit_s) {
            stop("the time limit");
        }
    }
}

void JobServer::stop(std::string const& reason) {
    if (!stop_reason_.empty()) {
        return;
    }
    stop_reason_ = reason;
    log::info("stopping because of {}: the step under way is finished, then saved", reason);
    reader_.cancel();
    for (int replica = 0; replica < options_.replicas; ++replica) {
        answer(replica, LinkKind::stop, reason);
    }
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
        sum.entries_computed += each.entries_computed;
    }
    counters_.entries_computed = sum.entries_computed;
    counters_.jobs_started = sum.jobs_started;
    counters_.prompt_tokens_done = sum.prompt_tokens_done;
    counters_.prompt_tokens_expected = sum.prompt_tokens_expected;
    counters_.generated_tokens = sum.generated_tokens;
    counters_.generated_tokens_expected = sum.generated_tokens_expected;
    counters_.phase = sum.prefilling > 0 ? (sum.decoding > 0 ? "prefill+decode" : "prefill")
                                         : (sum.decoding > 0 ? "decode" : "waiting");
}

}  // namespace longhaul::engine
