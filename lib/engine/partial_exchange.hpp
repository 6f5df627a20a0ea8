#pragma once

#include "base/model_config.hpp"
#include "device/buffer.hpp"
#include "comm/communicator.hpp"
#include "kernels/exec_context.hpp"
#include "model/partition.hpp"
#include "engine/batch_arrays.hpp"
#include "engine/step_batch.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace longhaul::engine {

/// Merges the partial attention results of the KVP ranks. Every rank attended with all queries of its heads to its own
/// blocks; each needs, for its rows of the output projection, one slice of elements of every rank's O, and the LSEs of the
/// heads that slice touches: one all-to-all, then a merge in coordinate order (Helix form: Bhatia et al. 2025).
///
/// Rows of a sequence that lives whole on one coordinate travel from there alone and are not merged.
class PartialExchange {
  public:
    PartialExchange(comm::Communicator& kvp, ModelConfig const& config,
                    model::Partition const& partition, kernels::ExecContext const& exec);

    /// Width of this rank's slice.
    [[nodiscard]] std::int64_t width() const { return own().width; }

    /// out [rows, heads * head_dim], lse [rows, heads] of this rank's heads -> merged [rows, width()].
    /// Collective over the KVP communicator.
    void run(StepBatch const& batch, BatchArrays const& arrays, float const* out, float const* lse,
             float* merged);

    /// Everything that what run() queues depends on, besides the rows that `batch` names by device memory.
    void append_launch_key(StepBatch const& batch, std::vector<std::uint64_t>& key) const;

  private:
    struct Slice {
        std::int64_t first = 0;  // element, counted from this rank's first head
        std::int64_t width = 0;
        std::int64_t first_head = 0;
        std::int64_t num_heads = 0;  // heads touched
    };

    [[nodiscard]] Slice const& own() const {
        return slices_[static_cast<std::size_t>(kvp_.rank())];
    }
    void pack(std::span<std::int32_t const> rows, Slice const& slice, float const* out,
              float const* lse, float* packed_out, float* packed_lse) const;
    void unpack(float const* packed, std::span<std::int32_t const> rows, float* merged) const;
    void merge_striped(StepBatch const& batch, BatchArrays const& arrays,
                       std::vector<float const*> const& received, float* merged);

    void make_room(device::Buffer& buffer, std::int64_t bytes) const;
    [[nodiscard]] StreamView stream() const;

    comm::Communicator& kvp_;
    kernels::ExecContext exec_;
    std::int64_t head_dim_;
    std::int64_t num_heads_;
    std::vector<Slice> slices_;  // per KVP coordinate
    device::Buffer send_;
    device::Buffer receive_;
    device::Buffer scratch_;
};

}  // namespace longhaul::engine
