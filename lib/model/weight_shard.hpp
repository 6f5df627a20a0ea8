#pragma once

#include "base/model_config.hpp"
#include "base/types.hpp"
#include "device/buffer.hpp"
#include "io/model_file.hpp"
#include "kernels/linear.hpp"
#include "model/partition.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace longhaul::model {

/// This rank's weights of one layer, in the backend's memory. D = hidden_dim.
///
/// The slices over KVP are separate matrices, so the same objects serve either storage: `sharded` fills only the slot of
/// this rank's KVP coordinate, `replicated` all of them.
struct LayerWeights {
    device::Buffer attn_norm;                       ///< [D] f32
    kernels::LinearWeight qkv;                      ///< [(heads + 2 kv_heads) * head_dim, D]
    std::vector<kernels::LinearWeight> projection;  ///< per KVP coordinate [D, projection slice]
    device::Buffer ffn_norm;                        ///< [D] f32
    std::vector<kernels::LinearWeight>
        gate_up;  ///< per KVP coordinate [2 * ffn slice, D], gate rows first
    std::vector<kernels::LinearWeight> down;  ///< per KVP coordinate [D, ffn slice]
};

/// This rank's part of the model.
struct WeightShard {
    ModelConfig config;
    Partition partition;
    DType dtype = DType::bf16;
    std::vector<LayerWeights> layers;
    device::Buffer embedding;       ///< first stage: [vocab slice, D] of dtype
    device::Buffer output_norm;     ///< last stage: [D] f32
    kernels::LinearWeight lm_head;  ///< last stage: [vocab slice, D]
};

struct LoadOptions {
    DType dtype = DType::bf16;
    WeightStorage storage = WeightStorage::sharded;
    std::int64_t kvp_index = 0;
};

/// Reads this rank's slices and packs them for the backend; random weights (ModelFile::open_random) are made in its memory.
/// Throws ValidationError on a file that cannot be read.
[[nodiscard]] WeightShard load_weight_shard(io::ModelFile const& file, Partition const& partition,
                                            LoadOptions const& options,
                                            kernels::ExecContext const& exec);

}  // namespace longhaul::model
