#pragma once

#include "comm/communicator.hpp"
#include "io/output_dir.hpp"
#include "io/queue_reader.hpp"
#include "io/result.hpp"
#include "engine/job_link.hpp"
#include "engine/job_router.hpp"
#include "engine/queue_thread.hpp"
#include "report/progress_meter.hpp"
#include "report/summary_table.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
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
    };

    /// `tick` is called a few times a second, and after every result.
    JobServer(Options options, io::QueueReader& queue, io::OutputDir& output,
              comm::Communicator& service, LocalLink& local,
              std::function<void(report::ProgressCounters const&)> tick);

    /// Returns when every replica has said goodbye. Throws IoError when a result cannot be written.
    void serve();

    [[nodiscard]] report::ProgressCounters const& counters() const { return counters_; }
    [[nodiscard]] report::RunSummary const& summary() const { return summary_; }
    /// Jobs without a good result: failed in this run, or before and not tried again.
    [[nodiscard]] std::int64_t num_failed() const { return summary_.jobs_failed; }

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
    void write_result(io::JobResult const& result);
    void update_stats(int replica, LinkStats const& stats);

    Options options_;
    QueueThread queue_;
    std::optional<io::Job> next_job_;  // read, not yet taken by the router
    io::OutputDir& output_;
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
    report::ProgressCounters counters_;
    report::RunSummary summary_;
};

}  // namespace longhaul::engine
