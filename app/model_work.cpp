#include "app/model_work.hpp"

#include <cstddef>

namespace longhaul::app {

ModelWork::ModelWork(engine::BenchRank const& rank, DType dtype)
    : kvp_(static_cast<double>(rank.grid().shape().kvp)), bytes_(dtype_bytes(dtype)) {
    ModelConfig const& config = rank.config();
    model::Partition const& share = rank.partition();
    auto const kvp = static_cast<std::size_t>(rank.grid().coord().kvp);
    std::int64_t const layers = share.layers.size();
    std::int64_t const heads = share.heads.size() * config.head_dim;
    std::int64_t const kv_heads = share.kv_heads.size() * config.head_dim;
    attention_ = layers * heads;
    kv_ = 2 * layers * kv_heads;
    layers_ = layers * config.hidden_dim *
              (heads + 2 * kv_heads + share.projection[kvp].size() + 3 * share.ffn[kvp].size());
    head_ = share.last_stage ? share.vocab.size() * config.hidden_dim : 0;
}

double ModelWork::flop(std::int64_t rows, std::int64_t context, std::int64_t sampled) const {
    auto const n = static_cast<double>(rows);
    double const pairs = n * static_cast<double>(context) + n * (n + 1.0) / 2.0;
    return 2.0 * static_cast<double>(layers_) * n +
           2.0 * static_cast<double>(head_) * static_cast<double>(sampled) +
           4.0 * static_cast<double>(attention_) * pairs / kvp_;
}

double ModelWork::decode_bytes(std::int64_t batch, double context) const {
    return static_cast<double>(bytes_) * (static_cast<double>(layers_ + head_) +
                                          static_cast<double>(kv_ * batch) * context / kvp_);
}

}  // namespace longhaul::app
