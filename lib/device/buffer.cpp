#include "device/buffer.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"
#include "device/native.hpp"

#include <cstdlib>
#include <cstring>
#include <new>

namespace longhaul::device {
namespace {

constexpr std::int64_t kAlignment = 64;

void release_host(void* memory) noexcept { std::free(memory); }

detail::OwnedBytes allocate_host(std::int64_t bytes) {
    std::int64_t const padded = round_up(bytes, kAlignment);
    void* const memory = std::aligned_alloc(kAlignment, static_cast<std::size_t>(padded));
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    std::memset(memory, 0, static_cast<std::size_t>(padded));
    return {static_cast<std::byte*>(memory), {&release_host}};
}

}  // namespace

Buffer::Buffer(Gpu const* gpu, std::int64_t bytes) : bytes_(bytes) {
    LH_EXPECT(bytes >= 0);
    if (bytes > 0 && gpu != nullptr) {
        data_ = {static_cast<std::byte*>(native::allocate(bytes)), {&native::release}};
    } else if (bytes > 0) {
        data_ = allocate_host(bytes);
    }
}

PinnedBuffer::PinnedBuffer(Gpu const* gpu, std::int64_t bytes) : bytes_(bytes) {
    LH_EXPECT(bytes >= 0);
    if (bytes > 0 && gpu != nullptr) {
        data_ = {static_cast<std::byte*>(native::allocate_pinned(bytes)),
                 {&native::release_pinned}};
    } else if (bytes > 0) {
        data_ = allocate_host(bytes);
    }
}

void upload(Gpu const* gpu, void* to, void const* from, std::int64_t bytes) {
    copy(gpu, to, from, bytes);
}

void download(Gpu const* gpu, void* to, void const* from, std::int64_t bytes) {
    copy(gpu, to, from, bytes);
    if (gpu != nullptr) {
        gpu->synchronize();
    }
}

void copy(Gpu const* gpu, void* to, void const* from, std::int64_t bytes) {
    copy(to, from, bytes, gpu != nullptr ? gpu->stream() : StreamView{});
}

void copy(void* to, void const* from, std::int64_t bytes, StreamView stream) {
    if (bytes == 0) {
        return;
    }
    if (stream.native != nullptr) {
        native::copy(to, from, bytes, stream);
    } else {
        std::memcpy(to, from, static_cast<std::size_t>(bytes));
    }
}

void copy_box(BoxCopy const& box, StreamView stream) {
    native::copy_box(box.to, {box.to_row, box.to_plane}, box.from, {box.from_row, box.from_plane},
                     {box.width, box.height, box.depth}, stream);
}

void fill_zero(Gpu const* gpu, void* memory, std::int64_t bytes) {
    if (bytes == 0) {
        return;
    }
    if (gpu != nullptr) {
        native::fill_zero(memory, bytes, gpu->stream());
    } else {
        std::memset(memory, 0, static_cast<std::size_t>(bytes));
    }
}

}  // namespace longhaul::device
