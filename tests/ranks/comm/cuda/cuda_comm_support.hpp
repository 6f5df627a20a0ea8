#pragma once

#include "device/buffer.hpp"
#include "device/gpu.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <span>
#include <vector>

namespace longhaul::comm {

class CudaCommTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (device::list_gpus().empty()) {
            GTEST_SKIP() << "no GPU here";
        }
    }
};

/// Values in the GPU's memory and back.
template <class T>
class OnGpu {
  public:
    OnGpu(device::Gpu const& gpu, std::vector<T> const& values)
        : gpu_(gpu),
          size_(values.size()),
          buffer_(device::make_buffer(&gpu, std::span<T const>(values))) {}
    /// All bits set: NaN, where they are floats.
    OnGpu(device::Gpu const& gpu, std::size_t size) : OnGpu(gpu, poison(size)) {}

    [[nodiscard]] std::span<T> span() const { return {buffer_.template as<T>(), size_}; }
    [[nodiscard]] std::span<std::byte> bytes() const { return std::as_writable_bytes(span()); }
    [[nodiscard]] std::vector<T> values() const {
        std::vector<T> values(size_);
        device::download(&gpu_, values.data(), buffer_.data(),
                         static_cast<std::int64_t>(size_ * sizeof(T)));
        return values;
    }

  private:
    [[nodiscard]] static std::vector<T> poison(std::size_t size) {
        std::vector<T> values(size);
        if (size > 0) {
            std::memset(values.data(), 0xff, size * sizeof(T));
        }
        return values;
    }

    device::Gpu const& gpu_;
    std::size_t size_;
    device::Buffer buffer_;
};

}  // namespace longhaul::comm
