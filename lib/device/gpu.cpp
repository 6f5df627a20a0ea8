#include "device/gpu.hpp"

#include "base/error.hpp"
#include "device/matmul.hpp"
#include "device/native.hpp"

#include <utility>
#include <vector>

namespace longhaul::device {

Gpu::Gpu(int ordinal) : ordinal_(ordinal) {
    LH_VALIDATE(built_with_cuda(),
                "this build has no CUDA in it; build the preset cuda, or use --backend cpu");
    std::vector<GpuInfo> const& gpus = list_gpus();
    LH_VALIDATE(!gpus.empty(),
                "there is no usable GPU (see nvidia-smi and CUDA_VISIBLE_DEVICES); use --backend "
                "cpu, or run where there is one");
    LH_VALIDATE(ordinal >= 0 && ordinal < static_cast<int>(gpus.size()),
                "GPU {} does not exist, this process sees {}", ordinal, gpus.size());
    info_ = gpus[static_cast<std::size_t>(ordinal)];
    LH_VALIDATE(
        info_.capability >= 80,
        "{} has compute capability {}.{}; at least 8.0 (Ampere) is needed, or --backend cpu",
        info_.name, info_.capability / 10, info_.capability % 10);
    select();
    stream_ = native::create_stream();
    matmul_ = std::make_unique<Matmul>(stream_);
}

Gpu::~Gpu() {
    matmul_.reset();
    native::release(scratch_);
    native::destroy_stream(stream_);
}

void Gpu::select() const { native::select_gpu(ordinal_); }
void Gpu::synchronize() const { native::synchronize(stream_); }
std::int64_t Gpu::free_bytes() const { return native::free_memory().free; }

void* Gpu::scratch(std::int64_t bytes) {
    if (bytes > scratch_bytes_) {
        synchronize();  // kernels in flight may use the old one
        native::release(std::exchange(scratch_, nullptr));
        scratch_bytes_ = 0;
        scratch_ = native::allocate(bytes);
        scratch_bytes_ = bytes;
    }
    return scratch_;
}

Stream::Stream() : view_(native::create_stream()) {}
Stream::~Stream() { native::destroy_stream(view_); }
void Stream::synchronize() const { native::synchronize(view_); }

Event::Event() : native_(native::create_event()) {}
Event::~Event() { native::destroy_event(native_); }

void Event::record(StreamView stream) {
    native::record_event(native_, stream);
    recorded_ = true;
}

bool Event::done() const { return !recorded_ || native::event_done(native_); }

void Event::wait() const {
    if (recorded_) {
        native::wait_for_event(native_);
    }
}

void Event::hold_back(StreamView stream) const {
    if (recorded_) {
        native::make_stream_wait(stream, native_);
    }
}

bool is_capturing(StreamView stream) { return native::is_capturing(stream); }
void ignore_captures_of_other_threads() { native::ignore_captures_of_other_threads(); }

}  // namespace longhaul::device
