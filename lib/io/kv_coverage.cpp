#include "io/kv_coverage.hpp"

#include "base/error.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace longhaul::io {

bool same_cache(KvSegmentShape const& a, KvSegmentShape const& b) {
    KvSegmentShape other = b;
    other.layers = a.layers;
    other.kv_heads = a.kv_heads;
    return a == other;
}

KvCoverage::KvCoverage(std::span<BlockKey const> keys, KvSegmentShape const& any)
    : num_blocks_(static_cast<std::int64_t>(keys.size())),
      block_slots_(any.block_slots),
      num_layers_(any.num_layers),
      num_kv_heads_(any.num_kv_heads),
      found_(static_cast<std::size_t>(num_blocks_ * num_layers_ * num_kv_heads_)) {
    for (BlockKey const& key : keys) {
        numbers_.emplace(key, static_cast<std::int64_t>(numbers_.size()));
    }
}

std::size_t KvCoverage::place(std::int64_t block, std::int64_t layer, std::int64_t kv_head) const {
    return static_cast<std::size_t>((block * num_layers_ + layer) * num_kv_heads_ + kv_head);
}

bool KvCoverage::add(KvSegmentShape const& shape, std::span<KvSegmentBlock const> blocks,
                     IsSound const& is_sound) {
    LH_EXPECT(shape.num_layers == num_layers_ && shape.num_kv_heads == num_kv_heads_ &&
              shape.block_slots == block_slots_);
    bool is_new = false;
    for (std::size_t row = 0; row < blocks.size(); ++row) {
        auto const number = numbers_.find(blocks[row].key);
        if (number == numbers_.end()) continue;
        std::int64_t const block = number->second;
        bool const full = blocks[row].slots == block_slots_ || block + 1 == num_blocks_;
        if (blocks[row].block != block || !full) continue;
        for (std::int64_t layer = shape.layers.begin; layer < shape.layers.end; ++layer) {
            for (std::int64_t head = shape.kv_heads.begin; head < shape.kv_heads.end; ++head) {
                if (is_sound && !is_sound(static_cast<std::int64_t>(row), layer, head)) continue;
                is_new = is_new || !found_[place(block, layer, head)];
                found_[place(block, layer, head)] = true;
            }
        }
    }
    return is_new;
}

std::int64_t KvCoverage::num_foreign(std::span<KvSegmentBlock const> blocks) const {
    return std::count_if(blocks.begin(), blocks.end(), [this](KvSegmentBlock const& block) {
        return !numbers_.contains(block.key);
    });
}

std::string KvCoverage::missing() const {
    std::string first;
    std::int64_t blocks = 0;
    for (std::int64_t block = 0; block < num_blocks_; ++block) {
        bool whole = true;
        for (std::int64_t layer = 0; layer < num_layers_; ++layer) {
            for (std::int64_t head = 0; head < num_kv_heads_; ++head) {
                if (found_[place(block, layer, head)]) continue;
                whole = false;
                if (!first.empty()) continue;
                first = fmt::format("layer {}, KV head {} of block {}", layer, head, block);
            }
        }
        if (!whole) ++blocks;
    }
    if (blocks == 0) return {};
    return fmt::format("{} of {} blocks are missing or not whole, beginning with {}", blocks,
                       num_blocks_, first);
}

}  // namespace longhaul::io
