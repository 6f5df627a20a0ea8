#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace longhaul::engine {

/// Parts of a step.
enum class StepPart : std::size_t {
    other,      ///< norms, RoPE, activations, copies, embedding, sampling
    attention,  ///< with the merge of its own parts
    linear,     ///< projections and FFN
    head,       ///< final norm, LM head
    messages,  ///< collectives inside the stage, waiting included; on a GPU also hidden states between stages
    between,  ///< after one step, before the next: the host
};
inline constexpr std::size_t kNumStepParts = 6;

/// Where the time of one rank's steps went, in seconds, and what was done in it.
struct StepCounters {
    std::int64_t steps = 0;  ///< steps that had rows
    std::int64_t empty_steps = 0;
    std::int64_t prefill_rows = 0;
    std::int64_t decode_rows = 0;
    /// By StepPart. On a GPU, whose work runs behind the host's clock, only with RankContext::clock; on the host without `other`
    /// and `between`.
    std::array<double, kNumStepParts> part_s{};
    double pipeline_wait_s = 0.0;  ///< waiting for the previous stage
    double inputs_wait_s = 0.0;    ///< waiting for StepInputs
    double total_s = 0.0;

    [[nodiscard]] double of(StepPart part) const {
        return part_s.at(static_cast<std::size_t>(part));
    }
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
