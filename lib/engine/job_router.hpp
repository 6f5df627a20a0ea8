#pragma once

#include "io/job.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>

namespace longhaul::engine {

/// Hands the jobs of a queue to replicas: in queue order, but jobs on the same document go to the replica that has its KV.
/// Looks ahead a bounded number of jobs, so one replica's backlog does not starve the others.
class JobRouter {
  public:
    using Source =
        std::function<std::optional<io::Job>()>;  ///< next job of the queue; empty: no more

    using Ready = std::function<bool()>;  ///< whether the source answers without waiting

    /// `max_bytes` bounds what is held of jobs that wait for their replica. Without `ready` the source always answers.
    explicit JobRouter(Source source, std::size_t max_jobs = 64,
                       std::int64_t max_bytes = std::int64_t{256} << 20, Ready ready = {});

    enum class Answer { job, later, none };

    /// Next job for a replica: a job, `later` (only other replicas' jobs are in reach now, or the
    /// queue is slow), or `none` ever again.
    [[nodiscard]] Answer next(int replica, io::Job& job);

  private:
    struct Waiting {
        io::Job job;
        std::string document;
        std::int64_t bytes = 0;
    };
    bool read_one();

    Source source_;
    Ready ready_;
    std::size_t max_jobs_;
    std::int64_t max_bytes_;
    std::deque<Waiting> waiting_;
    std::int64_t held_bytes_ = 0;
    bool exhausted_ = false;
    std::unordered_map<std::string, int> owner_;  // document -> replica
};

}  // namespace longhaul::engine
