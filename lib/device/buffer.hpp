#pragma once

#include "base/stream.hpp"
#include "device/gpu.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace longhaul::device {

namespace detail {

struct Release {
    void (*function)(void* memory) noexcept = nullptr;
    void operator()(std::byte* memory) const noexcept { function(memory); }
};
using OwnedBytes = std::unique_ptr<std::byte, Release>;

}  // namespace detail

/// Bytes in the memory that the backend computes in: of `gpu`, or of the host where that is null. Aligned to 256 bytes
/// (host: 64), not initialised on a GPU, zero on the host. Move-only.
///
/// Errors      OutOfDeviceMemory
class Buffer {
  public:
    Buffer() = default;
    Buffer(Gpu const* gpu, std::int64_t bytes);

    [[nodiscard]] std::byte* data() const { return data_.get(); }
    [[nodiscard]] std::int64_t bytes() const { return data_ ? bytes_ : 0; }
    template <class T>
    [[nodiscard]] T* as() const {
        return reinterpret_cast<T*>(data_.get());
    }

  private:
    detail::OwnedBytes data_;
    std::int64_t bytes_ = 0;
};

/// Host memory that a GPU reads and writes at full speed and asynchronously; ordinary host memory where `gpu` is null.
class PinnedBuffer {
  public:
    PinnedBuffer() = default;
    PinnedBuffer(Gpu const* gpu, std::int64_t bytes);

    [[nodiscard]] std::byte* data() const { return data_.get(); }
    [[nodiscard]] std::int64_t bytes() const { return data_ ? bytes_ : 0; }
    [[nodiscard]] std::span<std::byte> span() const {
        return {data(), static_cast<std::size_t>(bytes())};
    }
    template <class T>
    [[nodiscard]] T* as() const {
        return reinterpret_cast<T*>(data_.get());
    }

  private:
    detail::OwnedBytes data_;
    std::int64_t bytes_ = 0;
};

/// Copies between the host and the backend's memory, in the order of gpu->stream(); with a null `gpu` a plain copy, done at
/// once. upload: `from` may be changed when it returns (pageable memory is staged). download: `to` is filled when it returns.
void upload(Gpu const* gpu, void* to, void const* from, std::int64_t bytes);
void download(Gpu const* gpu, void* to, void const* from, std::int64_t bytes);
/// Within the backend's memory.
void copy(Gpu const* gpu, void* to, void const* from, std::int64_t bytes);
/// Ordered in any stream of the calling thread's GPU; without a stream a plain copy.
void copy(void* to, void const* from, std::int64_t bytes, StreamView stream);
void fill_zero(Gpu const* gpu, void* memory, std::int64_t bytes);

/// A three-dimensional copy in any direction, ordered in `stream` of the calling thread's GPU: `depth` planes of `height` rows
/// of `width` bytes, strides in bytes (a plane's a multiple of a row's).
struct BoxCopy {
    void* to = nullptr;
    std::int64_t to_row = 0;
    std::int64_t to_plane = 0;
    void const* from = nullptr;
    std::int64_t from_row = 0;
    std::int64_t from_plane = 0;
    std::int64_t width = 0;
    std::int64_t height = 0;
    std::int64_t depth = 0;
};
void copy_box(BoxCopy const& box, StreamView stream);

template <class T>
[[nodiscard]] Buffer make_buffer(Gpu const* gpu, std::span<T const> values) {
    auto const bytes = static_cast<std::int64_t>(values.size_bytes());
    Buffer buffer(gpu, bytes);
    upload(gpu, buffer.data(), values.data(), bytes);
    return buffer;
}

}  // namespace longhaul::device
