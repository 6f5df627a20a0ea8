#include "device/native.hpp"

#include "device/cuda_check.cuh"
#include "device/error.hpp"

#include <fmt/format.h>

#include <filesystem>

namespace longhaul::device {

void check_cuda(cudaError_t status, char const* call, char const* file, int line) {
    if (status == cudaSuccess) {
        return;
    }
    std::string const text = fmt::format("the GPU failed: {} ({}) in {} at {}:{}",
                                         cudaGetErrorString(status), cudaGetErrorName(status), call,
                                         std::filesystem::path(file).filename().string(), line);
    if (status == cudaErrorMemoryAllocation) {
        static_cast<void>(
            cudaGetLastError());  // it is not sticky, and the next launch is not to blame
        throw OutOfDeviceMemory(text);
    }
    throw DeviceError(text);
}

namespace native {
namespace {

cudaStream_t cuda(StreamView stream) { return static_cast<cudaStream_t>(stream.native); }
cudaEvent_t cuda(void* event) { return static_cast<cudaEvent_t>(event); }
std::size_t size(std::int64_t bytes) { return static_cast<std::size_t>(bytes); }

}  // namespace

void select_gpu(int ordinal) { LH_CUDA(cudaSetDevice(ordinal)); }

void* allocate(std::int64_t bytes) {
    void* memory = nullptr;
    cudaError_t const status = cudaMalloc(&memory, size(bytes));
    if (status == cudaErrorMemoryAllocation) {
        static_cast<void>(cudaGetLastError());
        FreeMemory const left = free_memory();
        throw OutOfDeviceMemory(fmt::format(
            "the GPU has no room for {} MiB more ({} of {} MiB are free): too many ranks or "
            "another "
            "program on it; free it, use more GPUs (--tp, --spp), or lower --kv-memory or --chunk",
            bytes >> 20, left.free >> 20, left.total >> 20));
    }
    LH_CUDA(status);
    return memory;
}

// After a failed kernel every call fails, this one too: the first failure was told.
void release(void* memory) noexcept { static_cast<void>(cudaFree(memory)); }

void* allocate_pinned(std::int64_t bytes) {
    void* memory = nullptr;
    cudaError_t const status = cudaMallocHost(&memory, size(bytes));
    if (status == cudaErrorMemoryAllocation) {
        static_cast<void>(cudaGetLastError());
        throw DeviceError(fmt::format(
            "the host cannot pin {} MiB for the GPU (see ulimit -l); free memory, or lower "
            "--checkpoint-buffer",
            bytes >> 20));
    }
    LH_CUDA(status);
    return memory;
}

void release_pinned(void* memory) noexcept { static_cast<void>(cudaFreeHost(memory)); }

FreeMemory free_memory() {
    std::size_t free = 0;
    std::size_t total = 0;
    LH_CUDA(cudaMemGetInfo(&free, &total));
    return {static_cast<std::int64_t>(free), static_cast<std::int64_t>(total)};
}

StreamView create_stream() {
    cudaStream_t stream = nullptr;
    LH_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return {stream};
}

void destroy_stream(StreamView stream) noexcept {
    static_cast<void>(cudaStreamDestroy(cuda(stream)));
}

void synchronize(StreamView stream) { LH_CUDA(cudaStreamSynchronize(cuda(stream))); }

// Waiting threads sleep: the host's cores belong to other ranks as well.
void* create_event() {
    cudaEvent_t event = nullptr;
    LH_CUDA(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventBlockingSync));
    return event;
}

void destroy_event(void* event) noexcept { static_cast<void>(cudaEventDestroy(cuda(event))); }
void record_event(void* event, StreamView stream) {
    LH_CUDA(cudaEventRecord(cuda(event), cuda(stream)));
}

bool event_done(void* event) {
    cudaError_t const status = cudaEventQuery(cuda(event));
    if (status == cudaErrorNotReady) {
        return false;
    }
    LH_CUDA(status);
    return true;
}

void* create_timed_event() {
    cudaEvent_t event = nullptr;
    LH_CUDA(cudaEventCreate(&event));
    return event;
}

// Inside a capture a plain record would only order the graph's own nodes.
void record_timed_event(void* event, StreamView stream) {
    LH_CUDA(cudaEventRecordWithFlags(
        cuda(event), cuda(stream),
        is_capturing(stream) ? cudaEventRecordExternal : cudaEventRecordDefault));
}

double seconds_between(void* earlier, void* later) {
    float milliseconds = 0.0F;
    LH_CUDA(cudaEventElapsedTime(&milliseconds, cuda(earlier), cuda(later)));
    return 1e-3 * static_cast<double>(milliseconds);
}

void wait_for_event(void* event) { LH_CUDA(cudaEventSynchronize(cuda(event))); }
void make_stream_wait(StreamView stream, void* event) {
    LH_CUDA(cudaStreamWaitEvent(cuda(stream), cuda(event), 0));
}

// Other threads (a checkpoint's loader) may go on allocating and copying meanwhile.
void begin_capture(StreamView stream) {
    LH_CUDA(cudaStreamBeginCapture(cuda(stream), cudaStreamCaptureModeThreadLocal));
}

void* end_capture(StreamView stream) {
    cudaGraph_t recorded = nullptr;
    LH_CUDA(cudaStreamEndCapture(cuda(stream), &recorded));
    cudaGraphExec_t graph = nullptr;
    cudaError_t const status = cudaGraphInstantiate(&graph, recorded, 0);
    static_cast<void>(cudaGraphDestroy(recorded));
    LH_CUDA(status);
    return graph;
}

void abandon_capture(StreamView stream) noexcept {
    cudaGraph_t recorded = nullptr;
    static_cast<void>(cudaStreamEndCapture(cuda(stream), &recorded));
    if (recorded != nullptr) {
        static_cast<void>(cudaGraphDestroy(recorded));
    }
}

void launch_graph(void* graph, StreamView stream) {
    LH_CUDA(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), cuda(stream)));
}

void destroy_graph(void* graph) noexcept {
    if (graph != nullptr) {
        static_cast<void>(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)));
    }
}

void copy(void* to, void const* from, std::int64_t bytes, StreamView stream) {
    LH_CUDA(cudaMemcpyAsync(to, from, size(bytes), cudaMemcpyDefault, cuda(stream)));
}

void copy_box(void* to, Strides to_strides, void const* from, Strides from_strides, Box box,
              StreamView stream) {
    auto const side = [&](void* memory, Strides strides) {
        return cudaPitchedPtr{memory, size(strides.row), size(box.width),
                              size(strides.plane / strides.row)};
    };
    cudaMemcpy3DParms what{};
    what.dstPtr = side(to, to_strides);
    what.srcPtr = side(const_cast<void*>(from), from_strides);  // the runtime's type has no const
    what.extent = {size(box.width), size(box.height), size(box.depth)};
    what.kind = cudaMemcpyDefault;
    LH_CUDA(cudaMemcpy3DAsync(&what, cuda(stream)));
}

void fill_zero(void* memory, std::int64_t bytes, StreamView stream) {
    LH_CUDA(cudaMemsetAsync(memory, 0, size(bytes), cuda(stream)));
}

bool is_capturing(StreamView stream) {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    LH_CUDA(cudaStreamIsCapturing(cuda(stream), &status));
    return status != cudaStreamCaptureStatusNone;
}

void ignore_captures_of_other_threads() {
    cudaStreamCaptureMode mode = cudaStreamCaptureModeThreadLocal;
    LH_CUDA(cudaThreadExchangeStreamCaptureMode(&mode));
}

}  // namespace native
}  // namespace longhaul::device
