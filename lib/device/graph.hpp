#pragma once

#include "device/gpu.hpp"

#include <functional>

namespace longhaul::device {

/// A recorded run of kernels of gpu.stream(), started again by one call: small kernels then follow each other without the host
/// between them. Move-only.
///
/// Recording  `work` only queues kernels and copies of device memory: it neither waits for the stream nor allocates. Pointers and
///            sizes are recorded as they are; what the pointers name is read anew by every launch.
/// Errors     DeviceError
class Graph {
  public:
    Graph(Gpu const& gpu, std::function<void()> const& work);
    Graph(Graph&& other) noexcept;
    Graph& operator=(Graph&& other) noexcept;
    ~Graph();

    /// In the order of gpu.stream().
    void launch() const;

  private:
    Gpu const* gpu_;
    void* native_ = nullptr;
};

}  // namespace longhaul::device
