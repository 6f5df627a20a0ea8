#pragma once

#include "io/job.hpp"
#include "io/manifest.hpp"
#include "schedule/step_inputs.hpp"
#include "engine/job_link.hpp"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace longhaul::engine {

/// A job made ready for the scheduler, or the reason why it is not run.
struct PreparedJob {
    enum class Verdict { run, skip_done, skip_failed, error };

    io::Job job;
    std::string job_hash;
    Verdict verdict = Verdict::run;
    std::optional<io::JobError> error;       ///< for Verdict::error
    schedule::SequenceSpec spec;             ///< for Verdict::run; the id is given at admission
    std::optional<io::SavedSequence> saved;  ///< where the job goes on
    double seconds = 0.0;                    ///< that preparing took: reading and tokenising
};

/// Prepares jobs one after the other in a thread of its own, so that reading and tokenising the next documents overlaps
/// with the steps of the current ones.
class PrepareThread {
  public:
    using Prepare = std::function<PreparedJob(LinkJob const&)>;

    explicit PrepareThread(Prepare prepare);
    ~PrepareThread();
    PrepareThread(PrepareThread const&) = delete;
    PrepareThread& operator=(PrepareThread const&) = delete;

    void submit(LinkJob job);
    [[nodiscard]] std::optional<PreparedJob> poll();

    /// Jobs handed in and not yet taken by poll().
    [[nodiscard]] std::int64_t num_pending() const { return num_pending_; }

  private:
    void run();

    Prepare prepare_;
    std::int64_t num_pending_ = 0;  // caller's thread only
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<LinkJob> incoming_;
    std::deque<PreparedJob> done_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace longhaul::engine
