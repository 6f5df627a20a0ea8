#include "kv/kv_cache.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"

#include <sys/mman.h>
#include <cerrno>
#include <cstring>

namespace longhaul::kv {

KvCache::KvCache(kernels::KvLayout layout, std::int64_t num_layers, std::int64_t capacity)
    : layout_(layout), num_layers_(num_layers), capacity_(capacity) {
    auto const per_layer = checked_multiply(layout.block_bytes(), capacity);
    auto const total = per_layer ? checked_multiply(*per_layer, num_layers) : std::nullopt;
    LH_VALIDATE(total.has_value(),
                "a KV cache of {} blocks does not fit the address space; lower --kv-memory",
                capacity);
    bytes_ = static_cast<std::size_t>(*total);
    if (bytes_ == 0) {
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
    if (memory_ != nullptr) {
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
        std::memset(layer_pool(layer) + pool_block * layout_.block_bytes(), 0,
                    static_cast<std::size_t>(layout_.block_bytes()));
    }
}

}  // namespace longhaul::kv
