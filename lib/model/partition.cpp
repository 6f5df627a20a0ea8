#include "model/partition.hpp"

#include "base/error.hpp"

#include <algorithm>

namespace longhaul::model {
namespace {

// Slices meet SIMD and cache lines when they start at multiples of this many elements.
constexpr std::int64_t kSliceAlign = 8;

std::int64_t layer_parameters(ModelConfig const& config) {
    std::int64_t const attention =
        config.hidden_dim * config.head_dim * 2 * (config.num_heads + config.num_kv_heads);
    return attention + 3 * config.hidden_dim * config.ffn_dim;
}

}  // namespace

double lm_head_cost(ModelConfig const& config, std::int64_t chunk) {
    double const head =
        static_cast<double>(config.hidden_dim) * static_cast<double>(config.vocab_size);
    return head / (static_cast<double>(layer_parameters(config)) * static_cast<double>(chunk));
}

std::vector<Range> cut_stages(std::int64_t num_layers, std::int64_t spp, double extra_last) {
    LH_EXPECT(spp >= 1 && spp <= num_layers);
    // Try every size of the last stage; the others split the rest evenly. spp is small, so this is exhaustive enough.
    double best_cost = 0.0;
    std::int64_t best_last = -1;
    for (std::int64_t last = 1; last <= num_layers - (spp - 1); ++last) {
        std::int64_t const others = spp == 1 ? 0 : (num_layers - last + spp - 2) / (spp - 1);
        if (spp == 1 && last != num_layers) {
            continue;
        }
        double const cost =
            std::max(static_cast<double>(others), static_cast<double>(last) + extra_last);
        // Of equal cuts the one with the larger last stage: earlier stages start earlier.
        if (best_last < 0 || cost <= best_cost) {
            best_cost = cost;
            best_last = last;
        }
    }
    std::vector<Range> stages;
    for (std::int64_t s = 0; s + 1 < spp; ++s) {
        stages.push_back(split_range(num_layers - best_last, spp - 1, s));
    }
    stages.push_back({num_layers - best_last, num_layers});
    return stages;
}

Partition make_partition(ModelConfig const& config, RankPosition const& position,
                         std::int64_t chunk) {
    LH_EXPECT(position.tp <= config.num_kv_heads);
    Partition part;
    part.layers = cut_stages(config.num_layers, position.spp,
                             lm_head_cost(config, chunk))[static_cast<std::size_t>(position.stage)];
    part.kv_heads = split_range(config.num_kv_heads, position.tp, position.tp_index);
    std::int64_t const group = config.heads_per_kv_head();
    part.heads = {part.kv_heads.begin * group, part.kv_heads.end * group};

    Range const own_elements{part.heads.begin * config.head_dim, part.heads.end * config.head_dim};
    std::int64_t const linear_size = position.tp * position.kvp;
    for (std::int64_t k = 0; k < position.kvp; ++k) {
        Range const columns = split_range(own_elements.size(), position.kvp, k, kSliceAlign);
        part.projection.push_back(
            {own_elements.begin + columns.begin, own_elements.begin + columns.end});
        part.ffn.push_back(split_range(config.ffn_dim, linear_size,
                                       k * position.tp + position.tp_index, kSliceAlign));
    }
    part.vocab = split_range(config.vocab_size, linear_size,
                             position.kvp_index * position.tp + position.tp_index);
    part.first_stage = position.stage == 0;
    part.last_stage = position.stage == position.spp - 1;
    return part;
}

std::int64_t weight_bytes(ModelConfig const& config, Partition const& partition,
                          std::int64_t kvp_index, WeightStorage storage, DType dtype) {
    std::int64_t elements =
        (partition.heads.size() + 2 * partition.kv_heads.size()) * config.head_dim;
    for (std::size_t k = 0; k < partition.ffn.size(); ++k) {
        if (storage == WeightStorage::replicated || static_cast<std::int64_t>(k) == kvp_index) {
            elements += partition.projection[k].size() + 3 * partition.ffn[k].size();
        }
    }
    std::int64_t bytes =
        partition.layers.size() * (elements * config.hidden_dim * dtype_bytes(dtype) +
                                   2 * config.hidden_dim * dtype_bytes(DType::f32));
    std::int64_t const table = partition.vocab.size() * config.hidden_dim * dtype_bytes(dtype);
    bytes += (partition.first_stage ? table : 0) + (partition.last_stage ? table : 0);
    return bytes;
}

}  // namespace longhaul::model
