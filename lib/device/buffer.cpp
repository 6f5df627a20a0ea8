#include "device/buffer.hpp"

#include "base/error.hpp"
#include "device/native.hpp"

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace longhaul::device {
namespace {

constexpr std::int64_t kAlignment = 64;

std::byte* allocate_host(std::int64_t bytes) {
    std::int64_t const padded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    void* const memory = std::aligned_alloc(kAlignment, static_cast<std::size_t>(padded));
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    std::memset(memory, 0, static_cast<std::size_t>(padded));
    return static_cast<std::byte*>(memory);
}

}  // namespace

Buffer::Buffer(Gpu const* gpu, std::int64_t bytes) : gpu_(gpu), bytes_(bytes) {
    LH_EXPECT(bytes >= 0);
    if (bytes > 0) {
        data_ = gpu != nullptr ? static_cast<std::byte*>(native::allocate(bytes))
                               : allocate_host(bytes);
    }
}

Buffer::Buffer(Buffer&& other) noexcept
    : gpu_(other.gpu_),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
    if (this != &other) {
        reset();
        gpu_ = other.gpu_;
        data_ = std::exchange(other.data_, nullptr);
        bytes_ = std::exchange(other.bytes_, 0);
    }
    return *this;
}

Buffer::~Buffer() { reset(); }

void Buffer::reset() noexcept {
    if (gpu_ != nullptr) {
        native::release(data_);
    } else {
        std::free(data_);
    }
    data_ = nullptr;
}

PinnedBuffer::PinnedBuffer(Gpu const* gpu, std::int64_t bytes)
    : pinned_(gpu != nullptr), bytes_(bytes) {
    LH_EXPECT(bytes >= 0);
    if (bytes > 0) {
        data_ = pinned_ ? static_cast<std::byte*>(native::allocate_pinned(bytes))
                        : allocate_host(bytes);
    }
}

PinnedBuffer::PinnedBuffer(PinnedBuffer&& other) noexcept
    : pinned_(other.pinned_),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

PinnedBuffer& PinnedBuffer::operator=(PinnedBuffer&& other) noexcept {
    if (this != &other) {
        reset();
        pinned_ = other.pinned_;
        data_ = std::exchange(other.data_, nullptr);
        bytes_ = std::exchange(other.bytes_, 0);
    }
    return *this;
}

PinnedBuffer::~PinnedBuffer() { reset(); }

void PinnedBuffer::reset() noexcept {
    if (pinned_) {
        native::release_pinned(data_);
    } else {
        std::free(data_);
    }
    data_ = nullptr;
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
    if (bytes == 0) {
        return;
    }
    if (gpu != nullptr) {
        native::copy(to, from, bytes, gpu->stream());
    } else {
        std::memcpy(to, from, static_cast<std::size_t>(bytes));
    }
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
