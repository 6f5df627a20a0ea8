#pragma once

#include "engine/partial_exchange.hpp"
#include "engine/rank_context.hpp"
#include "engine/step_batch.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace longhaul::engine {

/// Runs this stage's layers over the rows of a step (execution `sharded`): the hidden state is equal on all kvp x tp ranks
/// of the stage; heads are split over tp, KV blocks over kvp, output projection and FFN over both.
class LayerRunner {
  public:
    LayerRunner(RankContext& context, std::int64_t max_rows);

    /// hidden [rows, D] f32, in and out. Collective over the stage.
    void run(StepBatch const& batch, float* hidden);

  private:
    void run_layer(StepBatch const& batch, std::int64_t local_layer, float* hidden);
    void attend(StepBatch const& batch, std::int64_t local_layer);
    void norm(StepBatch const& batch, float* hidden, std::vector<float> const& weight);
    void linear(StepBatch const& batch, void const* input, kernels::LinearWeight const& weight,
                float* output);
    void reduce_delta(StepBatch const& batch);

    RankContext& context_;
    ModelConfig const& config_;
    model::Partition const& partition_;
    std::size_t kvp_index_;
    PartialExchange exchange_;

    // Workspace for max_rows rows, allocated once.
    std::vector<std::byte> normed_;      // [rows, D] dtype
    std::vector<float> qkv_;             // [rows, (heads + 2 kv_heads) * head_dim]
    std::vector<float> rope_;            // [rows, head_dim / 2, 2]
    std::vector<std::byte> queries_;     // [rows, heads, head_dim] dtype
    std::vector<float> attended_;        // [rows, heads, head_dim]
    std::vector<float> lse_;             // [rows, heads]
    std::vector<float> merged_;          // [rows, projection slice]
    std::vector<float> gate_up_;         // [rows, 2 * ffn slice]
    std::vector<std::byte> activation_;  // [rows, max(projection slice, ffn slice)] dtype
    std::vector<float> delta_;           // [rows, D]: what the residual still lacks
    bool delta_pending_ = false;
};

/// Bytes of the workspace above.
[[nodiscard]] std::int64_t workspace_bytes(ModelConfig const& config,
                                           model::Partition const& partition,
                                           std::int64_t kvp_index, DType dtype,
                                           std::int64_t max_rows);

}  // namespace longhaul::engine
