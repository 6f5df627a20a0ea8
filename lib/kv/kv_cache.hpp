#pragma once

#include "kernels/kv_layout.hpp"

#include <cstddef>
#include <cstdint>

namespace longhaul::kv {

/// Storage of this rank's KV blocks: for each of its layers a pool of `capacity` blocks, one allocation in all.
///
/// The memory is reserved at construction and touched as blocks are written, so a large capacity costs nothing until it
/// is used. Which block belongs to whom is decided elsewhere (schedule::KvLedger); block numbers are equal in all layers.
class KvCache {
  public:
    /// Throws ValidationError when the address space cannot be reserved.
    KvCache(kernels::KvLayout layout, std::int64_t num_layers, std::int64_t capacity);
    ~KvCache();
    KvCache(KvCache const&) = delete;
    KvCache& operator=(KvCache const&) = delete;

    [[nodiscard]] kernels::KvLayout const& layout() const { return layout_; }
    [[nodiscard]] std::int64_t capacity() const { return capacity_; }

    /// Pool of one layer, numbered from this rank's first layer.
    [[nodiscard]] std::byte* layer_pool(std::int64_t local_layer);

    /// Zeroes one block in every layer (it may hold NaN of a failed sequence, and 0 * NaN would reach the next one).
    void scrub(std::int64_t pool_block);

    [[nodiscard]] static std::int64_t bytes_per_block(kernels::KvLayout const& layout,
                                                      std::int64_t num_layers) {
        return layout.block_bytes() * num_layers;
    }

  private:
    kernels::KvLayout layout_;
    std::int64_t num_layers_;
    std::int64_t capacity_;
    std::byte* memory_ = nullptr;
    std::size_t bytes_ = 0;
};

}  // namespace longhaul::kv
