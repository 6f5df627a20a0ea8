#include "kv/kv_cache.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"
#include "device/error.hpp"
#include "kv/block_copy.hpp"

#include <sys/mman.h>
#include <cerrno>
#include <cstring>
#include <iterator>

namespace longhaul::kv {

KvCache::KvCache(kernels::KvLayout layout, std::int64_t num_layers, std::int64_t capacity,
                 device::Gpu const* gpu)
    : layout_(layout), num_layers_(num_layers), capacity_(capacity), gpu_(gpu) {
    LH_EXPECT(gpu == nullptr || layout.packing == kernels::KvPacking::rows);
    auto const per_layer = checked_multiply(layout.block_bytes(), capacity);
    auto const total = per_layer ? checked_multiply(*per_layer, num_layers) : std::nullopt;
    LH_VALIDATE(total.has_value(),
                "a KV cache of {} blocks does not fit the address space; lower --kv-memory",
                capacity);
    bytes_ = static_cast<std::size_t>(*total);
    if (bytes_ == 0) {
        return;
    }
    if (gpu_ != nullptr) {
        try {
            device_memory_ = device::Buffer(gpu_, *total);
        } catch (device::OutOfDeviceMemory const&) {
            throw ValidationError(fmt::format(
                "the GPU has no room for a KV cache of {} bytes (other programs on it?); lower "
                "--kv-memory, or free the GPU",
                *total));
        }
        memory_ = device_memory_.data();
        // 0 * NaN of what was there before would reach every row that sees a slot not written yet.
        device::fill_zero(gpu_, memory_, *total);
        return;
    }
    void* const memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    LH_VALIDATE(
        memory != MAP_FAILED,
        "cannot reserve {} bytes for the KV cache ({}); lower --kv-memory or raise ulimit -v",
        bytes_, std::strerror(errno));
    // Long runs of blocks are read once per step: large pages spare the TLB. Advice only, so the result does not matter.
    static_cast<void>(::madvise(memory, bytes_, MADV_HUGEPAGE));
    memory_ = static_cast<std::byte*>(memory);
}

KvCache::~KvCache() {
    if (memory_ != nullptr && gpu_ == nullptr) {
        ::munmap(memory_, bytes_);
    }
}

std::byte* KvCache::layer_pool(std::int64_t local_layer) {
    LH_EXPECT(local_layer >= 0 && local_layer < num_layers_);
    return memory_ + local_layer * capacity_ * layout_.block_bytes();
}

void KvCache::scrub(std::int64_t pool_block) {
    LH_EXPECT(pool_block >= 0 && pool_block < capacity_);
    for (std::int64_t layer = 0; layer < num_layers_; ++layer) {
        device::fill_zero(gpu_, layer_pool(layer) + pool_block * layout_.block_bytes(),
                          layout_.block_bytes());
    }
}

void KvCache::begin_save(std::int64_t pool_block, std::int64_t num_slots,
                         std::span<std::byte> out) {
    LH_EXPECT(std::ssize(out) == num_layers_ * canonical_bytes(layout_));
    if (gpu_ != nullptr) {
        copy_tiles(pool_block, out.data(), false, gpu_->stream());
        return;
    }
    for (std::int64_t layer = 0; layer < num_layers_; ++layer) {
        unpack_block(layout_, layer_pool(layer) + pool_block * layout_.block_bytes(), num_slots,
                     out.subspan(static_cast<std::size_t>(layer * canonical_bytes(layout_)),
                                 static_cast<std::size_t>(canonical_bytes(layout_))));
    }
}

void KvCache::end_save(std::int64_t num_slots, std::span<std::byte> out) const {
    if (gpu_ == nullptr || num_slots == layout_.block_slots) {
        return;
    }
    for (std::int64_t layer = 0; layer < num_layers_; ++layer) {
        clear_slots(layout_, num_slots,
                    out.subspan(static_cast<std::size_t>(layer * canonical_bytes(layout_)),
                                static_cast<std::size_t>(canonical_bytes(layout_))));
    }
}

void KvCache::load_block(std::int64_t pool_block, std::span<std::byte const> canonical,
                         StreamView stream) {
    LH_EXPECT(std::ssize(canonical) == num_layers_ * canonical_bytes(layout_));
    if (gpu_ != nullptr) {
        // Only read; one function copies in both directions.
        copy_tiles(pool_block, const_cast<std::byte*>(canonical.data()), true, stream);
        return;
    }
    for (std::int64_t layer = 0; layer < num_layers_; ++layer) {
        pack_block(layout_,
                   canonical.subspan(static_cast<std::size_t>(layer * canonical_bytes(layout_)),
                                     static_cast<std::size_t>(canonical_bytes(layout_))),
                   layer_pool(layer) + pool_block * layout_.block_bytes());
    }
}

// Tiles packed in rows differ from canonical form only in their order: [head][K, V] here, all K before all V there. So one
// copy of all layers for the keys and one for the values needs no pass of the host over the bytes.
void KvCache::copy_tiles(std::int64_t pool_block, std::byte* canonical, bool to_pool,
                         StreamView stream) {
    std::int64_t const all_keys = layout_.num_kv_heads * layout_.key_tile_bytes();
    for (bool const values : {false, true}) {
        std::int64_t const tile = values ? layout_.value_tile_bytes() : layout_.key_tile_bytes();
        if (tile == 0) {
            continue;
        }
        std::byte* const pool =
            memory_ + pool_block * layout_.block_bytes() + (values ? layout_.key_tile_bytes() : 0);
        std::byte* const host = canonical + (values ? all_keys : 0);
        std::int64_t const pool_plane = capacity_ * layout_.block_bytes();
        // A plane's stride has to be a multiple of a row's; canonical_bytes is one of a tile as long as K and V are as long.
        LH_EXPECT(canonical_bytes(layout_) % tile == 0);
        device::BoxCopy box;
        box.to = to_pool ? pool : host;
        box.to_row = to_pool ? layout_.head_bytes() : tile;
        box.to_plane = to_pool ? pool_plane : canonical_bytes(layout_);
        box.from = to_pool ? host : pool;
        box.from_row = to_pool ? tile : layout_.head_bytes();
        box.from_plane = to_pool ? canonical_bytes(layout_) : pool_plane;
        box.width = tile;
        box.height = layout_.num_kv_heads;
        box.depth = num_layers_;
        device::copy_box(box, stream);
    }
}

}  // namespace longhaul::kv
