#pragma once

#include "device/buffer.hpp"
#include "device/gpu.hpp"
#include "kernels/kv_layout.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace longhaul::kv {

/// Storage of this rank's KV blocks: for each of its layers a pool of `capacity` blocks, one allocation in all.
///
/// On the host the memory is reserved at construction and touched as blocks are written, so a large capacity costs nothing
/// until it is used; on a GPU it is taken and zeroed at once. Which block belongs to whom is decided elsewhere (schedule::KvLedger); block numbers are equal in all layers.
class KvCache {
  public:
    /// `gpu`: whose memory; null: the host's. A GPU's layout is packed in rows.
    /// Throws ValidationError when the memory cannot be had.
    KvCache(kernels::KvLayout layout, std::int64_t num_layers, std::int64_t capacity,
            device::Gpu const* gpu = nullptr);
    ~KvCache();
    KvCache(KvCache const&) = delete;
    KvCache& operator=(KvCache const&) = delete;

    [[nodiscard]] kernels::KvLayout const& layout() const { return layout_; }
    [[nodiscard]] std::int64_t capacity() const { return capacity_; }

    /// Pool of one layer, numbered from this rank's first layer.
    [[nodiscard]] std::byte* layer_pool(std::int64_t local_layer);

    /// Zeroes one block in every layer (it may hold NaN of a failed sequence, and 0 * NaN would reach the next one).
    void scrub(std::int64_t pool_block);

    /// One block of all layers in canonical form (kv/block_copy.hpp), layer after layer: what a checkpoint holds. Slots from
    /// `num_slots` on are zeros. Called by the engine's thread; on a GPU only queued, in the order of gpu()->stream(): `out` is
    /// pinned memory, and whoever reads it first waits for that stream and calls end_save, in any thread.
    void begin_save(std::int64_t pool_block, std::int64_t num_slots, std::span<std::byte> out);
    void end_save(std::int64_t num_slots, std::span<std::byte> out) const;
    /// The inverse, all slots. On a GPU only queued in `stream`, which the caller waits for before `canonical` is used again.
    void load_block(std::int64_t pool_block, std::span<std::byte const> canonical,
                    StreamView stream = {});
    [[nodiscard]] device::Gpu const* gpu() const { return gpu_; }

    [[nodiscard]] static std::int64_t bytes_per_block(kernels::KvLayout const& layout,
                                                      std::int64_t num_layers) {
        return layout.block_bytes() * num_layers;
    }

  private:
    void copy_tiles(std::int64_t pool_block, std::byte* canonical, bool to_pool, StreamView stream);

    kernels::KvLayout layout_;
    std::int64_t num_layers_;
    std::int64_t capacity_;
    device::Gpu const* gpu_;
    device::Buffer device_memory_;
    std::byte* memory_ = nullptr;
    std::size_t bytes_ = 0;
};

}  // namespace longhaul::kv
