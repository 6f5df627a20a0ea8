#pragma once

#include "base/types.hpp"
#include "device/gpu.hpp"
#include "device/step_arena.hpp"
#include "kernels/rope_kv.hpp"
#include "engine/step_batch.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace longhaul::engine {

/// The arrays of a StepBatch in the backend's memory: views of the batch itself on the host.
struct BatchArrays {
    std::span<TokenId const> tokens;
    std::span<std::int64_t const> positions;
    std::span<kernels::KvSlot const> slots;
    std::span<std::int32_t const> striped_rows;
    std::vector<std::span<std::int32_t const>> single_rows;  ///< by KVP coordinate
};

/// Brings them there, once a step and in one copy. What it returned is valid until the next call, and while the batch is.
class BatchUploader {
  public:
    explicit BatchUploader(device::Gpu const* gpu) : arena_(gpu) {}
    [[nodiscard]] BatchArrays bring(StepBatch const& batch);

  private:
    device::StepArena arena_;
};

}  // namespace longhaul::engine
