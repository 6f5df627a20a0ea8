#pragma once

#include "base/stream.hpp"

#include <cstddef>
#include <cstdint>

// Stays inside lib/device: the runtime calls that everything else here is made of. native_cuda.cpp implements them with the
// CUDA runtime, native_none.cpp, in a build without CUDA, by refusing.
namespace longhaul::device::native {

/// Of the calling thread.
void select_gpu(int ordinal);
[[nodiscard]] void* allocate(std::int64_t bytes);
void release(void* memory) noexcept;
[[nodiscard]] void* allocate_pinned(std::int64_t bytes);
void release_pinned(void* memory) noexcept;
struct FreeMemory {
    std::int64_t free = 0;
    std::int64_t total = 0;
};
[[nodiscard]] FreeMemory free_memory();

[[nodiscard]] StreamView create_stream();
void destroy_stream(StreamView stream) noexcept;
void synchronize(StreamView stream);

[[nodiscard]] void* create_event();
void destroy_event(void* event) noexcept;
void record_event(void* event, StreamView stream);
[[nodiscard]] bool event_done(void* event);
/// An event that keeps the time when it is reached. Recorded while a capture runs, it is reached by every launch of the graph.
[[nodiscard]] void* create_timed_event();
void record_timed_event(void* event, StreamView stream);
/// Both have been reached.
[[nodiscard]] double seconds_between(void* earlier, void* later);
void wait_for_event(void* event);
void make_stream_wait(StreamView stream, void* event);

/// What the calling thread queues in the stream until end_capture() is recorded and not run.
void begin_capture(StreamView stream);
[[nodiscard]] void* end_capture(StreamView stream);
void abandon_capture(StreamView stream) noexcept;
void launch_graph(void* graph, StreamView stream);
void destroy_graph(void* graph) noexcept;

/// Any direction, both sides host or device.
void copy(void* to, void const* from, std::int64_t bytes, StreamView stream);
struct Box {
    std::int64_t width = 0;  ///< bytes that lie together
    std::int64_t height = 0;
    std::int64_t depth = 0;
};
/// Strides of a box's rows and planes in bytes; a plane's is a multiple of a row's.
struct Strides {
    std::int64_t row = 0;
    std::int64_t plane = 0;
};
void copy_box(void* to, Strides to_strides, void const* from, Strides from_strides, Box box,
              StreamView stream);
void fill_zero(void* memory, std::int64_t bytes, StreamView stream);
/// See device/sum_rows.hpp; `count` is positive.
void sum_rows(float const* rows, std::int64_t stride, int num_rows, float* out, std::int64_t count,
              StreamView stream);

/// See device/delay.hpp.
void delay(double seconds, StreamView stream);

[[nodiscard]] bool is_capturing(StreamView stream);
void ignore_captures_of_other_threads();

}  // namespace longhaul::device::native
