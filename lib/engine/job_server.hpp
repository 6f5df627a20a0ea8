#pragma once

#include "comm/communicator.hpp"
#include "io/checkpoint_dir.hpp"
#include "io/kv_store.hpp"
#include "io/output_dir.hpp"
#include "io/queue_reader.hpp"
#include "io/result.hpp"
#include "engine/checkpoint_master.hpp"
#include "engine/epoch_keeper.hpp"
#include "engine/job_link.hpp"
#include "engine/job_router.hpp"
#include "engine/queue_thread.hpp"
#include "engine/run_options.hpp"
#include "engine/worker_thread.hpp"
#include "report/progress_meter.hpp"
#include "report/summary_table.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace longhaul::engine {

/// Serves jobs to the leaders of all replicas and writes their results: the only reader of the queue and the only writer of
/// OUTPUT. Runs in a thread of world rank 0 beside its engine.
class JobServer {
  public:
    struct Options {
        int replicas = 1;
        int ranks_per_replica = 1;
        bool retry_errors = false;
        std::optional<double> time_limit_s;
        std::function<bool()>
            stop_requested;  ///< whether this process was asked to stop; may be empty
        std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();
        std::string chunking;  ///< what T1 needs equal, for the manifests
        io::GridInfo grid;
        io::RunIdentity identity;
        std::int64_t block_slots = 128;
        std::optional<FaultInjection> inject_fault;
    };

    /// `tick` is called a few times a second, and after every result.
    JobServer(Options options, io::QueueReader& queue, io::OutputDir& output,
              io::CheckpointDir* checkpoint, io::KvStore* store, comm::Communicator& service,
              LocalLink& local, std::function<void(report::ProgressCounters const&)> tick);

    /// Returns when every replica has said goodbye. Throws IoError when a result cannot be written.
    void serve();

    [[nodiscard]] report::ProgressCounters const& counters() const { return counters_; }
    [[nodiscard]] report::RunSummary const& summary() const { return summary_; }
    /// Jobs without a good result: failed in this run, or before and not tried again.
    [[nodiscard]] std::int64_t num_failed() const { return summary_.jobs_failed; }
    /// Why the run ended before its queue did; empty when it did not.
    [[nodiscard]] std::string const& stopped() const { return stop_reason_; }
    /// Messages of ranks that were asked to stop.
    [[nodiscard]] std::int64_t stops_received() const { return stops_received_; }
    [[nodiscard]] bool left_work() const { return left_work_; }

  private:
    bool handle_messages();
    void handle(LinkRecord const& record);
    void answer_pulls();
    void answer(int replica, LinkKind kind, std::string payload);
    [[nodiscard]] std::deque<int>::iterator hungriest();
    [[nodiscard]] bool job_ready();
    [[nodiscard]] std::optional<io::Job> next_job();
    void refuse(io::BadJob const& bad);
    void count_skipped(bool ok);
    void write_epochs();
    void write_manifest(int replica, EpochContent& content);
    void add_to_store(EpochContent& content);
    void remember_for_master(EpochContent const& content);
    void look_for_stop();
    void stop(std::string const& reason);
    void write_result(io::JobResult const& result,
                      std::optional<std::int64_t> replica = std::nullopt);
    void rehearse(FaultInjection::Place place) const;
    void update_stats(int replica, LinkStats const& stats);

    Options options_;
    QueueThread queue_;
    std::optional<io::Job> next_job_;  // read, not yet taken by the router
    io::QueueReader& reader_;
    io::OutputDir& output_;
    io::CheckpointDir* checkpoint_;  // null where nothing is saved
    comm::Communicator& service_;
    LocalLink& local_;
    std::function<void(report::ProgressCounters const&)> tick_;
    RecordSender sender_;
    JobRouter router_;
    std::deque<int> pulls_;              // replicas that wait for a job, oldest first
    std::vector<std::int64_t> in_hand_;  // per replica the jobs it has and has not finished
    std::vector<bool> has_pulled_;
    std::vector<LinkStats> stats_;
    int open_replicas_;
    std::deque<std::pair<int, EpochContent>>
        epochs_;          // with their replicas: wait while the store takes documents in
    io::KvStore* store_;  // null without --kv-store
    std::optional<WorkerThread<io::KvStoreEntry, std::string>> storing_;
    std::vector<io::KvSegmentInfo> master_segments_;
    std::vector<io::KvMasterSequence> master_sequences_;
    std::string stop_reason_;
    bool left_work_ = false;
    std::int64_t stops_received_ = 0;
    report::ProgressCounters counters_;
    report::RunSummary summary_;
};

}  // namespace longhaul::engine
