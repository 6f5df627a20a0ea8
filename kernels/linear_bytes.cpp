#include "base/checked.hpp"
#include "kernels/linear_impl.hpp"

#include <sys/mman.h>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

namespace longhaul::kernels {

namespace {

constexpr std::int64_t kHugePage = std::int64_t{2} << 20;
constexpr std::int64_t kSlab = 16 * kHugePage;
constexpr std::int64_t kCacheLine = 64;

std::shared_ptr<std::byte> allocate_slab(std::int64_t bytes) {
    auto const capacity = static_cast<std::size_t>(round_up(bytes, kHugePage));
    void* const memory = std::aligned_alloc(static_cast<std::size_t>(kHugePage), capacity);
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    // Only advice: without huge pages the same memory works, more slowly.
    static_cast<void>(::madvise(memory, capacity, MADV_HUGEPAGE));
    return {static_cast<std::byte*>(memory), [](std::byte* pointer) { std::free(pointer); }};
}

/// Hands out pieces of the current slab in order. Pages that nothing was packed into are never touched.
class SlabAllocator {
  public:
    std::shared_ptr<std::byte> allocate(std::int64_t bytes) {
        if (bytes >= kSlab / 2) {
            return allocate_slab(bytes);
        }
        std::lock_guard const lock(mutex_);
        if (!slab_ || used_ + bytes > kSlab) {
            slab_ = allocate_slab(kSlab);
            used_ = 0;
        }
        std::shared_ptr<std::byte> piece(slab_, slab_.get() + used_);
        used_ += bytes;
        return piece;
    }

  private:
    std::mutex mutex_;
    std::shared_ptr<std::byte> slab_;
    std::int64_t used_ = 0;
};

}  // namespace

WeightBytes::WeightBytes(std::int64_t bytes) : size(bytes) {
    static SlabAllocator slabs;
    data = slabs.allocate(round_up(bytes, kCacheLine));
    std::memset(data.get(), 0, static_cast<std::size_t>(bytes));
}

}  // namespace longhaul::kernels
