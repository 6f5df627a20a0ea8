#pragma once

#include "base/stream.hpp"
#include "device/gpu_info.hpp"

#include <cstdint>
#include <memory>

namespace longhaul::device {

class Matmul;

/// The GPU of this rank: its properties, the stream that the engine's work is ordered in, and the matrix library.
///
/// Errors      ValidationError without CUDA in the build or without such a GPU; DeviceError from the runtime
/// Threads     the engine's thread works on stream(); another thread that uses the GPU calls select() first and has a Stream
///             of its own
class Gpu {
  public:
    explicit Gpu(int ordinal);
    ~Gpu();
    Gpu(Gpu const&) = delete;
    Gpu& operator=(Gpu const&) = delete;

    [[nodiscard]] int ordinal() const { return ordinal_; }
    [[nodiscard]] GpuInfo const& info() const { return info_; }
    [[nodiscard]] StreamView stream() const { return stream_; }
    [[nodiscard]] Matmul& matmul() const { return *matmul_; }

    /// Makes this the calling thread's GPU.
    void select() const;
    /// Waits until everything on stream() is done. Throws what broke there.
    void synchronize() const;
    /// Bytes that this and other processes have left.
    [[nodiscard]] std::int64_t free_bytes() const;

    /// Scratch for kernels of stream(), valid until the next call that asks for more; grows, never shrinks.
    [[nodiscard]] void* scratch(std::int64_t bytes);

  private:
    int ordinal_;
    GpuInfo info_;
    StreamView stream_;
    std::unique_ptr<Matmul> matmul_;
    void* scratch_ = nullptr;
    std::int64_t scratch_bytes_ = 0;
};

/// A stream of its own on the calling thread's GPU.
class Stream {
  public:
    Stream();
    ~Stream();
    Stream(Stream const&) = delete;
    Stream& operator=(Stream const&) = delete;
    [[nodiscard]] StreamView view() const { return view_; }
    void synchronize() const;

  private:
    StreamView view_;
};

/// A point in a stream that others can wait for.
class Event {
  public:
    Event();
    ~Event();
    Event(Event const&) = delete;
    Event& operator=(Event const&) = delete;
    void record(StreamView stream);
    /// True when all work before the last record() is done, and before the first one.
    [[nodiscard]] bool done() const;
    void wait() const;
    /// Later work of `stream` waits for this.
    void hold_back(StreamView stream) const;

  private:
    void* native_;
    bool recorded_ = false;
};

/// Whether what is enqueued in `stream` now goes into a graph instead of to the GPU.
[[nodiscard]] bool is_capturing(StreamView stream);
/// For a thread that only watches: a capture of another thread, begun by a library in CUDA's strictest mode, would forbid it to
/// ask after an event. Ours (device/graph.hpp) would not.
void ignore_captures_of_other_threads();

}  // namespace longhaul::device
