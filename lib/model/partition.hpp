#pragma once

#include "base/model_config.hpp"
#include "base/range.hpp"
#include "base/types.hpp"

#include <cstdint>
#include <vector>

namespace longhaul::model {

/// Which of the tp x kvp x spp ranks of a replica, and how many of each there are.
struct RankPosition {
    std::int64_t spp = 1;
    std::int64_t kvp = 1;
    std::int64_t tp = 1;
    std::int64_t stage = 0;
    std::int64_t kvp_index = 0;
    std::int64_t tp_index = 0;
};

/// The slices of one rank: what it stores and computes of the model.
///
/// TP splits query and KV heads (a KV head with its whole group). Output projection and FFN are split over tp x kvp, cut at
/// multiples of 8 elements; embedding and LM head by vocabulary over tp x kvp. Stages hold contiguous layers.
struct Partition {
    Range layers;
    Range heads;  ///< query heads
    Range kv_heads;
    std::vector<Range>
        projection;  ///< per KVP coordinate: columns of the output projection (elements of all heads)
    std::vector<Range> ffn;  ///< per KVP coordinate: FFN columns
    Range vocab;             ///< rows of embedding and LM head
    bool first_stage = true;
    bool last_stage = true;
};

/// Layers per stage so that the most expensive stage is as cheap as possible. `extra_last` is the cost of the LM head in
/// units of one layer. Every stage gets at least one layer. Requires 1 <= spp <= num_layers.
[[nodiscard]] std::vector<Range> cut_stages(std::int64_t num_layers, std::int64_t spp,
                                            double extra_last);

/// Cost of the LM head relative to one layer in a prefill step of `chunk` rows, where one row in a chunk needs logits.
[[nodiscard]] double lm_head_cost(ModelConfig const& config, std::int64_t chunk);

/// Requires tp <= num_kv_heads, spp <= num_layers.
[[nodiscard]] Partition make_partition(ModelConfig const& config, RankPosition const& position,
                                       std::int64_t chunk);

/// Whether a rank holds only its own slices of output projection and FFN over KVP, or those of all KVP coordinates.
enum class WeightStorage { sharded, replicated };

/// Bytes of packed weights one rank will hold.
[[nodiscard]] std::int64_t weight_bytes(ModelConfig const& config, Partition const& partition,
                                        std::int64_t kvp_index, WeightStorage storage, DType dtype);

}  // namespace longhaul::model
