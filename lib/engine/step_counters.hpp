#pragma once

#include <chrono>
#include <cstdint>

namespace longhaul::engine {

/// Where the time of one rank's steps went, in seconds, and what was done in it.
struct StepCounters {
    std::int64_t steps = 0;  ///< steps that had rows
    std::int64_t empty_steps = 0;
    std::int64_t prefill_rows = 0;
    std::int64_t decode_rows = 0;
    double attention_s = 0.0;
    double linear_s = 0.0;         ///< projections and FFN
    double head_s = 0.0;           ///< LM head, logits
    double communication_s = 0.0;  ///< collectives inside the stage, waiting included
    double pipeline_wait_s = 0.0;  ///< waiting for the previous stage
    double inputs_wait_s = 0.0;    ///< waiting for StepInputs
    double total_s = 0.0;
};

/// Adds the time from construction to destruction.
class ScopedTimer {
  public:
    explicit ScopedTimer(double& seconds)
        : seconds_(seconds), start_(std::chrono::steady_clock::now()) {}
    ~ScopedTimer() {
        seconds_ +=
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }
    ScopedTimer(ScopedTimer const&) = delete;
    ScopedTimer& operator=(ScopedTimer const&) = delete;

  private:
    double& seconds_;
    std::chrono::steady_clock::time_point start_;
};

}  // namespace longhaul::engine
