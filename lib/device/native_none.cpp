#include "base/error.hpp"
#include "device/native.hpp"

namespace longhaul::device::native {
namespace {

[[noreturn]] void refuse() {
    throw ValidationError(
        "this build has no CUDA in it; build the preset cuda, or use --backend cpu");
}

}  // namespace

void select_gpu(int /*ordinal*/) { refuse(); }
void* allocate(std::int64_t /*bytes*/) { refuse(); }
void release(void* /*memory*/) noexcept {}
void* allocate_pinned(std::int64_t /*bytes*/) { refuse(); }
void release_pinned(void* /*memory*/) noexcept {}
FreeMemory free_memory() { refuse(); }
StreamView create_stream() { refuse(); }
void destroy_stream(StreamView /*stream*/) noexcept {}
void synchronize(StreamView /*stream*/) { refuse(); }
void* create_event() { refuse(); }
void destroy_event(void* /*event*/) noexcept {}
void record_event(void* /*event*/, StreamView /*stream*/) { refuse(); }
bool event_done(void* /*event*/) { refuse(); }
void* create_timed_event() { refuse(); }
void record_timed_event(void* /*event*/, StreamView /*stream*/) { refuse(); }
double seconds_between(void* /*earlier*/, void* /*later*/) { refuse(); }
void wait_for_event(void* /*event*/) { refuse(); }
void make_stream_wait(StreamView /*stream*/, void* /*event*/) { refuse(); }
void begin_capture(StreamView /*stream*/) { refuse(); }
void* end_capture(StreamView /*stream*/) { refuse(); }
void abandon_capture(StreamView /*stream*/) noexcept {}
void launch_graph(void* /*graph*/, StreamView /*stream*/) { refuse(); }
void destroy_graph(void* /*graph*/) noexcept {}
void copy(void* /*to*/, void const* /*from*/, std::int64_t /*bytes*/, StreamView /*stream*/) {
    refuse();
}
void copy_box(void* /*to*/, Strides /*to_strides*/, void const* /*from*/, Strides /*from_strides*/,
              Box /*box*/, StreamView /*stream*/) {
    refuse();
}
void fill_zero(void* /*memory*/, std::int64_t /*bytes*/, StreamView /*stream*/) { refuse(); }
void sum_rows(float const* /*rows*/, std::int64_t /*stride*/, int /*num_rows*/, float* /*out*/,
              std::int64_t /*count*/, StreamView /*stream*/) {
    refuse();
}
void delay(double /*seconds*/, StreamView /*stream*/) { refuse(); }
bool is_capturing(StreamView /*stream*/) { refuse(); }
void ignore_captures_of_other_threads() { refuse(); }

}  // namespace longhaul::device::native
